// A shop's page that uses all of payment-api.js as it is meant to be used; compiled, never run.
/// <reference path="../../mock_epay/static/payform/payment-api.d.ts" />

interface Order extends Halyk.PaymentObject {
  invoiceIdAlt: string;
  campaign: { source: string; tags: string[] };
}

interface Transfer {
  terminal: string;
  amount: number;
}

async function buy(number: string, amount: number): Promise<void> {
  const answer = await fetch("/orders/token", { method: "POST" });
  const auth: Halyk.Token = await answer.json();
  const links = { backLink: "https://shop.kz/paid", postLink: "https://shop.kz/notices" };
  // These widen to plain texts, as they do in any shop that keeps them in its settings.
  const settings = { terminal: "67e34d63-102f-4bd1-898e-370781d0074d", language: "ru-RU", currency: "KZT" };
  halyk.pay({ invoiceId: number, description: "Чай", amount, auth, ...links, ...settings });
}

const documented: Halyk.Token = {
  access_token: "DCEB8O_ZM5U7SO_T_U5EJQ",
  expires_in: 7200,
  refresh_token: "",
  scope: "payment",
  token_type: "Bearer",
};
const observed: Halyk.Token = { ...documented, expires_in: "1200", issued_by: "nobody knows" };

const order: Order = {
  invoiceId: "000000001",
  invoiceIdAlt: "800000001",
  backLink: "https://shop.kz/paid",
  failureBackLink: "https://shop.kz/failed",
  autoBackLink: true,
  postLink: "https://shop.kz/notices",
  failurePostLink: "",
  language: "kaz",
  description: "Шай",
  accountId: "customer1",
  terminal: "67e34d63-102f-4bd1-898e-370781d0074d",
  amount: 1500.5,
  currency: "USD",
  data: { route: ["kettle", 7] },
  name: "ARMAN ALI",
  email: "arman@example.kz",
  phone: "+77770000000",
  cardSave: true,
  recurrent: false,
  paymentType: "",
  auth: observed,
  campaign: { source: "letter", tags: [] },
};

halyk.pay(order);
halyk.cardverification({ ...order, amount: 0, paymentType: "cardVerification", data: '{"why":"to keep it"}' });

halyk.showPaymentWidget(order);
halyk.showPaymentWidget({ ...order, auth: documented }, ({ success }) => {
  document.title = success ? "Paid" : "Not paid";
});
window.halyk.showPaymentWidget(order, () => void buy("000000002", 100));

const transfer: Transfer = { terminal: order.terminal, amount: 100 };
halyk.p2p(transfer);
halyk.aft(transfer);
halyk.oct({});

const { pageUrL, TokenAPIConfig, origin: home } = halyk.Config();
const addresses: string[] = [pageUrL, home, TokenAPIConfig.url];
console.log(addresses.join(" "));
