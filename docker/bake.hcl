# Images for both usual processors, with a list of what is in them:
#
#     docker buildx bake -f docker/bake.hcl --set image.tags=registry.example/mock-epay:1 --push
#
# More than one platform needs a builder with the driver docker-container: docker buildx create --use

variable "PYTHON_IMAGE" {
  default = "python:3.13-slim"
}

variable "TAG" {
  default = "mock-epay"
}

group "default" {
  targets = ["image"]
}

target "image" {
  context    = "."
  dockerfile = "docker/Dockerfile"
  args       = { PYTHON_IMAGE = PYTHON_IMAGE }
  platforms  = ["linux/amd64", "linux/arm64"]
  tags       = [TAG]
  attest     = ["type=sbom", "type=provenance,mode=max"]
}
