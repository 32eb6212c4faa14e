// A shop's tests in Node, with nothing but what comes with Node: EPAY_URL=http://127.0.0.1:8080 node --test

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { after, afterEach, before, beforeEach, test } from "node:test";

const EPAY_URL = process.env.EPAY_URL ?? "http://127.0.0.1:8080";

// What a test says to the sandbox.
async function control(method, path, body) {
  const answer = await fetch(`${EPAY_URL}/_control${path}`, {
    method,
    headers: { "Content-Type": "application/json" },
    body: body && JSON.stringify(body),
  });
  const text = await answer.text();
  assert.ok(answer.ok, text);
  return text ? JSON.parse(text) : null;
}

// The shop: it asks for a token for each order, and keeps what the bank tells of them.
const shop = createServer(async (request, response) => {
  let text = "";
  for await (const part of request) text += part;
  shop.postlinks.push(JSON.parse(text));
  response.end();
});

async function order(invoiceID, amount) {
  const form = { grant_type: "client_credentials", scope: "payment", currency: "KZT", invoiceID, amount };
  const credentials = {
    client_id: merchant.client_id,
    client_secret: merchant.client_secret,
    terminal: merchant.terminal,
    postLink: shop.url,
    failurePostLink: shop.url,
  };
  const answer = await fetch(merchant.urls.token, {
    method: "POST",
    body: new URLSearchParams({ ...form, ...credentials }),
  });
  assert.equal(answer.status, 200, await answer.text());
}

let merchant, world;

before(async () => {
  shop.listen(0, "127.0.0.1");
  await once(shop, "listening");
  shop.url = `http://127.0.0.1:${shop.address().port}/postlink`;
});

after(() => shop.close());

// Each test has a merchant of its own, so nothing of another one is in its way.
beforeEach(async (context) => {
  shop.postlinks = [];
  merchant = await control("POST", "/merchants", { name: "Tea", seed: context.name });
  world = `/merchants/${merchant.client_id}`;
});

afterEach(() => control("DELETE", world));

test("a paid order is told to the shop", async () => {
  await order("000000001", 2500);
  const paid = await control("POST", `${world}/payments`, { invoice_id: "000000001" });
  await control("GET", `${world}/wait?until=postlink.delivered`);

  assert.equal(paid.status, "CHARGE");
  const [postlink] = shop.postlinks;
  assert.deepEqual([postlink.code, postlink.invoiceId, postlink.amount], ["ok", "000000001", 2500]);
});

test("a customer without money is told to the shop", async () => {
  await order("000000001", 2500);
  await control("POST", `${world}/script`, { decisions: [{ reason_code: 484 }] });
  const declined = await control("POST", `${world}/payments`, { invoice_id: "000000001" });
  await control("GET", `${world}/wait?until=postlink.delivered`);

  assert.deepEqual([declined.status, declined.reason_code], ["REJECT", 484]);
  assert.deepEqual([shop.postlinks[0].code, shop.postlinks[0].reasonCode], ["error", 484]);
});

test("the cardholder's answer to 3-D Secure decides", async () => {
  const payment = { card: "4000000000003220" };
  const failed = await control("POST", `${world}/payments`, { ...payment, challenge: "fail" });
  const passed = await control("POST", `${world}/payments`, { ...payment, challenge: "pass" });

  assert.deepEqual([failed.reason_code, failed.secure], [499, false]);
  assert.deepEqual([passed.status, passed.secure], ["CHARGE", true]);
});

test("a postlink that is late comes when the clock is put forward", async () => {
  await order("000000001", 2500);
  await control("POST", `${world}/script`, { decisions: [{ plan: "delay(3600)" }] });
  await control("PUT", `${world}/clock`, { freeze: true });
  await control("POST", `${world}/payments`, { invoice_id: "000000001" });
  assert.equal(shop.postlinks.length, 0);

  const { fired } = await control("PUT", `${world}/clock`, { advance_s: 3600 });

  assert.deepEqual(fired.map(({ what, result }) => [what, result]), [["postlink", "delivered"]]);
  assert.equal(shop.postlinks.length, 1);
});
