// The makers: which one a brand belongs to, what it needs, until when it takes registrations.

import { get } from "./api.js";
import { addDays, civil, daysLeft, daysUntil } from "./time.js";

export const GENERIC = "generic";

/** All makers as the service knows them. */
export async function listMakers() {
  return (await get("/api/makers")).connectors ?? [];
}

// case, accents and punctuation of a brand do not matter; the service has the last word
const key = (brand) => brand.normalize("NFD").toLowerCase().replace(/ß/g, "ss").replace(/\b(und|et|og|och)\b|[&+]/g, "and").replace(/[^\p{L}\p{N}]/gu, "");

/** The maker of a brand; the generic one for a brand that nobody knows; undefined without a brand. */
export function makerOf(makers, brand) {
  if (!brand) return undefined;
  const wanted = key(brand);
  return makers.find((maker) => maker.brands?.some((known) => key(known) === wanted)) ?? makers.find((maker) => maker.maker === GENERIC);
}

/** Brands that begin like `text` first, then those that hold it. */
export function brandsLike(makers, text) {
  const wanted = key(text);
  const all = makers.flatMap((maker) => (maker.brands ?? []).map((brand) => ({ value: brand, note: maker.displayName, key: key(brand) })));
  const begins = all.filter((brand) => brand.key.startsWith(wanted));
  return [...begins, ...all.filter((brand) => !begins.includes(brand) && brand.key.includes(wanted))];
}

const FROM = { purchase: "purchase.date", installation: "purchase.installation_date", delivery: "purchase.delivery_date" };

/** The field from which a maker counts; empty when it has no last day. */
export const countsFrom = (maker) => (maker?.registerByFrom ? (FROM[maker.registerByFrom] ?? "purchase.date") : "");

/** Until when a maker takes a registration, in words, and how urgent that is; null without a last day. */
export function registerBy(maker, dateOf, country) {
  const days = maker?.registerByCountries?.[country] ?? maker?.registerByDays;
  if (!days) return null;
  const rule = `${maker.displayName} takes registrations until ${days} days after ${maker.registerByFrom || "purchase"}`;
  const from = dateOf(countsFrom(maker)) || dateOf("purchase.date");
  if (!from) return { tone: "", text: `${rule}.` };
  const last = addDays(from, days);
  const left = daysUntil(last);
  const tone = left < 0 ? "bad" : left <= 7 ? "warn" : "good";
  return { tone, text: `${rule}: until ${civil(last)}, ${daysLeft(last)}.` };
}
