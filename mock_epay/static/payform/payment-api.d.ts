/**
 * The global `halyk` that payment-api.js makes, for shops whose page is written in TypeScript.
 *
 * "Documented" is what the bank's own page says, "observed" what its script and server were seen to do.
 */
declare const halyk: Halyk.Script;

interface Window {
  halyk: Halyk.Script;
}

declare namespace Halyk {
  interface Script {
    /** Leaves the shop for the pay page, in the same tab. */
    pay(payment: PaymentObject): void;

    /**
     * Opens the pay page in a frame above the shop's page; a second call while it is open does nothing.
     * The callback hears once how it ended. Believe the postlink, not the callback.
     */
    showPaymentWidget(payment: PaymentObject, callback?: (result: WidgetResult) => void): void;

    /** The same as `pay`; the payment's `paymentType` says that a card is to be checked. */
    cardverification(payment: PaymentObject): void;

    /** Transfer from card to card. The sandbox's page only says that it is not simulated. */
    p2p(transfer: object): void;

    /** Transfer from a card to the shop's account. The sandbox's page only says that it is not simulated. */
    aft(transfer: object): void;

    /** Transfer from the shop's account to a card. The sandbox's page only says that it is not simulated. */
    oct(transfer: object): void;

    /** Tells which addresses the script leads to. */
    Config(): Config;
  }

  /** What is to be paid, and how. Fields that are not named here travel to the pay page as they are. */
  interface PaymentObject {
    /** The order's number, equal to the token's `invoiceID`: 6 to 15 digits, unique by the last six (documented). */
    invoiceId: string;
    /** A second number of the order: 6 to 15 digits, unique (documented). */
    invoiceIdAlt?: string;

    /** Where the customer returns after a payment: an http or https address, opened as it is (documented). */
    backLink: string;
    /** Where the customer returns without a payment (documented). */
    failureBackLink?: string;
    /** Returns at once, without a click (observed). */
    autoBackLink?: boolean;

    /** Where the notice of the payment goes (documented). May be left out if the token was asked for with one. */
    postLink?: string;
    /** Where the notice of a failed payment goes; without it, to `postLink` (documented). */
    failurePostLink?: string;

    /** The pay page's language. Other spellings, `RU`, `KK`, `en-US`, are taken too (observed). */
    language: Language;
    /** What is paid for: at most 125 bytes of UTF-8, which is 62 Cyrillic letters (documented). */
    description: string;
    /** The shop's own id of its customer; required with `cardSave` (documented). */
    accountId?: string;
    /** The terminal's UUID, equal to the token's (documented). */
    terminal: string;
    /** In whole units of `currency`, such as tenge, and equal to the token's; 0 only checks a card (documented). */
    amount: number;
    /** The code in ISO 4217, equal to the token's (documented). */
    currency: Currency;
    /** JSON text, or an object. Comes back in the postlink and the status (observed). */
    data?: string | object;

    /** Fills the form: the customer's name (documented). */
    name?: string;
    /** Fills the form: the customer's e-mail address (documented). */
    email?: string;
    /** Fills the form: the customer's telephone number (documented). */
    phone?: string;

    /** Offers to save the card for `accountId`: a Boolean, never a text (documented). */
    cardSave?: boolean;
    /** The card will be charged again without its holder (observed). */
    recurrent?: boolean;
    /** `cardVerification` checks a card and takes no money: `amount` is 0 and `currency` USD (observed). */
    paymentType?: PaymentType;

    /** The whole token answer, not only its `access_token` (documented). One token serves one payment. */
    auth: Token;

    [field: string]: unknown;
  }

  /** What the token endpoint answers. Ask for it on the shop's server: the secret is not for a page. */
  interface Token {
    access_token: string;
    /** Seconds: a number (documented) or a text (observed). */
    expires_in: number | string;
    /** Blank (documented). */
    refresh_token: string;
    scope: string;
    token_type: string;

    [field: string]: unknown;
  }

  interface WidgetResult {
    success: boolean;
  }

  interface Config {
    /** The pay page's address; the spelling of its name is the bank's. */
    pageUrL: string;
    origin: string;
    TokenAPIConfig: { url: string };
  }

  // `string & {}` takes any text, as `string` does, and leaves the named ones for an editor to offer.
  type Language = "rus" | "kaz" | "eng" | (string & {});
  type Currency = "KZT" | "USD" | (string & {});
  type PaymentType = "cardVerification" | (string & {});
}
