// A shop's page made by hand. Each line of JSON says where the script was found and what the shop does with it:
// {current, scripts, code, data}; the answer says what came of it: {result, threw, visits, warnings, globals}.
"use strict";

const { readFileSync } = require("fs");
const path = require("path");
const { createInterface } = require("readline");
const vm = require("vm");
const { compressToEncodedURIComponent } = require("lz-string");

const home = path.join(__dirname, "../../mock_epay/static/payform/payment-api.js");
const script = new vm.Script(readFileSync(home, "utf8"), { filename: home });

function visit({ current, scripts, code, data }) {
  const visits = [];
  const warnings = [];
  const location = Object.defineProperty({}, "href", { set: (address) => visits.push(address) });
  const shop = vm.createContext({
    window: { location },
    document: { currentScript: current ? { src: current } : null, scripts: scripts.map((src) => ({ src })) },
    console: { warn: (...parts) => warnings.push(parts.join(" ")) },
    URL,
  });
  const known = Object.keys(shop);
  const answer = { visits, warnings };
  try {
    script.runInContext(shop);
    const news = Object.keys(shop).filter((name) => !known.includes(name));
    answer.globals = news.concat(Object.keys(shop.window).filter((name) => name !== "location"));
    Object.assign(shop, { halyk: shop.window.halyk, data, pack: compressToEncodedURIComponent, visits });
    answer.result = vm.runInContext(code, shop);
  } catch (error) {
    answer.threw = String(error);
  }
  return answer;
}

createInterface({ input: process.stdin }).on("line", (line) => {
  process.stdout.write(`${JSON.stringify(visit(JSON.parse(line)))}\n`);
});
