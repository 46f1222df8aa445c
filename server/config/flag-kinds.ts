import { z } from 'zod';

/** What a flag is for people: shown by --help and used to read the command line. */
export type FlagMeta = {
  readonly kind: 'integer' | 'boolean' | 'text' | 'choice' | 'list';
  /** The heading under which --help lists it. */
  readonly section: string;
  readonly help: string;
  /** How --help shows the default; empty when it has none. */
  readonly shownDefault: string;
  /** How --help shows the value. */
  readonly placeholder: string;
};

type About = { readonly section: string; readonly help: string };

/** A whole number from `min` to `max`. */
export function integer(
  range: { readonly min: number; readonly max: number; readonly fallback: number },
  about: About,
) {
  const { min, max, fallback } = range;
  const schema = z
    .string()
    .transform((text, context) => {
      const value = /^-?\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
      if (value >= min && value <= max) return value;
      context.addIssue(
        `expected a whole number from ${String(min)} to ${String(max)}, got "${shortened(text)}"`,
      );
      return z.NEVER;
    })
    .prefault(String(fallback));
  return withMeta(schema, about, {
    kind: 'integer',
    shownDefault: String(fallback),
    placeholder: 'number',
  });
}

/** true or false; gflags' other spellings (1, 0, yes, no, t, f, y, n) are fine too. */
export function boolean(fallback: boolean, about: About) {
  const schema = z
    .string()
    .transform((text, context) => {
      if (/^(true|t|yes|y|1)$/i.test(text)) return true;
      if (/^(false|f|no|n|0)$/i.test(text)) return false;
      context.addIssue(`expected true or false, got "${shortened(text)}"`);
      return z.NEVER;
    })
    .prefault(String(fallback));
  return withMeta(schema, about, {
    kind: 'boolean',
    shownDefault: String(fallback),
    placeholder: 'true|false',
  });
}

/** Any text; `check` answers what is wrong with it. */
export function text(
  options: {
    readonly fallback: string;
    readonly placeholder: string;
    readonly shownDefault?: string;
    readonly check?: (value: string) => string | undefined;
  },
  about: About,
) {
  const { fallback, placeholder, check } = options;
  const schema = z
    .string()
    .superRefine((value, context) => {
      const wrong = value.includes('\0') ? 'must not contain NUL' : check?.(value);
      if (wrong !== undefined) context.addIssue(wrong);
    })
    .prefault(fallback);
  const shownDefault = options.shownDefault ?? fallback;
  return withMeta(schema, about, { kind: 'text', shownDefault, placeholder });
}

/** One of a few words. */
export function choice<const Choice extends string>(
  choices: readonly [Choice, ...Choice[]],
  fallback: Choice,
  about: About,
) {
  const schema = z
    .enum(choices, {
      error: (issue) =>
        `expected one of ${choices.join(', ')}, got "${shortened(String(issue.input))}"`,
    })
    .prefault(() => fallback);
  return withMeta(schema, about, {
    kind: 'choice',
    shownDefault: fallback,
    placeholder: choices.join('|'),
  });
}

/** A flag that may be repeated. */
export function list(
  options: {
    readonly fallback: readonly string[];
    readonly placeholder: string;
    readonly check: (values: readonly string[]) => string | undefined;
  },
  about: About,
) {
  const { fallback, placeholder, check } = options;
  const schema = z
    .array(z.string())
    .superRefine((values, context) => {
      const wrong = check(values);
      if (wrong !== undefined) context.addIssue(wrong);
    })
    .prefault([...fallback]);
  return withMeta(schema, about, { kind: 'list', shownDefault: fallback.join(','), placeholder });
}

function withMeta<Schema extends z.ZodType>(
  schema: Schema,
  about: About,
  meta: Omit<FlagMeta, 'section' | 'help'>,
): Schema {
  return schema.meta({ ...meta, ...about });
}

function shortened(value: string): string {
  return value.length > 80 ? `${value.slice(0, 80)}...` : value;
}
