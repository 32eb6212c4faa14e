// Answers each line of JSON, [function, argument], with one line of JSON: what the reference makes of the argument.
"use strict";

const { createInterface } = require("readline");
const { compressToEncodedURIComponent, decompressFromEncodedURIComponent } = require("lz-string");

const known = {
  compress: compressToEncodedURIComponent,
  decompress: decompressFromEncodedURIComponent,
  encode: encodeURIComponent,
  print: String,
};

createInterface({ input: process.stdin }).on("line", (line) => {
  const [name, argument] = JSON.parse(line);
  process.stdout.write(`${JSON.stringify(known[name](argument))}\n`);
});
