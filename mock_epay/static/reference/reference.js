// Shows the OpenAPI document of this sandbox; what is tried goes to this sandbox too, and nothing goes elsewhere.

const dark = matchMedia("(prefers-color-scheme: dark)");
const dress = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", dress);
dress();

// No service takes a file, but a text with `contentMediaType` is taken for one.
const NoFiles = {
  afterLoad() {
    this.fn.isFileUploadIntended = () => false;
  },
};

SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#reference",
  validatorUrl: null,
  plugins: [NoFiles],
  deepLinking: true,
  docExpansion: "list",
  defaultModelsExpandDepth: -1,
  displayRequestDuration: true,
  showExtensions: true,
});
