const FACTORS: Readonly<Record<string, number>> = {
  '': 1,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
};

/** What a size in a spec looks like, as Kubernetes writes whole quantities. */
export const QUANTITY_PATTERN = '^[1-9][0-9]{0,14}(k|M|G|T|Ki|Mi|Gi|Ti)?$';

/** Bytes of a quantity. @throws RangeError when it is none. */
export function quantityBytes(text: string): number {
  const [, amount, suffix = ''] = /^(\d+(?:\.\d+)?)([kMGT]i?|Ki)?$/.exec(text) ?? [];
  const factor = FACTORS[suffix];
  if (amount === undefined || factor === undefined) {
    throw new RangeError(`"${text}" is not a size such as 10Gi`);
  }
  return Number(amount) * factor;
}
