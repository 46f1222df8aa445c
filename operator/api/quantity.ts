const FACTORS: Readonly<Record<string, number>> = {
  '': 1,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  P: 1e15,
  E: 1e18,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
  Pi: 2 ** 50,
  Ei: 2 ** 60,
};

/** What a size in a spec looks like, as Kubernetes writes whole quantities. */
export const QUANTITY_PATTERN = '^[1-9][0-9]{0,14}(k|M|G|T|Ki|Mi|Gi|Ti)?$';

/** Bytes of a quantity. @throws RangeError when it is none. */
export function quantityBytes(text: string): number {
  const [, amount, suffix = ''] = /^(\d+(?:\.\d+)?)([kMGTPE]|[KMGTPE]i)?$/.exec(text) ?? [];
  const factor = FACTORS[suffix];
  if (amount === undefined || factor === undefined) {
    throw new RangeError(`"${text}" is not a size such as 10Gi`);
  }
  return Number(amount) * factor;
}

/** As quantityBytes; undefined for what is missing or has a form that sizes never have. */
export function bytesOf(text: string | undefined): number | undefined {
  try {
    return text === undefined ? undefined : quantityBytes(text);
  } catch {
    // Whoever does not know a size leaves it alone.
    return undefined;
  }
}
