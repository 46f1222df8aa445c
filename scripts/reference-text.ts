import { atomicClusterDefinition } from '../operator/api/crd.ts';
import { CONDITIONS } from '../operator/api/condition-reasons.ts';

type Schema = {
  readonly type?: string;
  readonly description?: string;
  readonly default?: unknown;
  readonly enum?: readonly unknown[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly items?: Schema;
};

type Definition = {
  readonly spec: {
    readonly versions: readonly {
      readonly additionalPrinterColumns: readonly {
        readonly name: string;
        readonly jsonPath: string;
        readonly priority?: number;
      }[];
      readonly schema: { readonly openAPIV3Schema: Schema };
    }[];
  };
};

/** The reference of AtomicCluster: every field, column, condition and reason. */
export function referenceText(): string {
  const [version] = (atomicClusterDefinition() as Definition).spec.versions;
  const { spec, status } = version?.schema.openAPIV3Schema.properties ?? {};
  const columns = version?.additionalPrinterColumns ?? [];
  return [
    '# AtomicCluster',
    '',
    'Made by `npm run generate` from `operator/api`. `apiVersion: atomicraft.dev/v1alpha1`, short name `ac`,',
    'category `atomic`.',
    '',
    '## spec',
    '',
    ...fieldTable(spec, true),
    '',
    '## status',
    '',
    ...fieldTable(status, false),
    '',
    '## Columns of kubectl get',
    '',
    ...table(
      ['Column', 'Field', 'Shown'],
      columns.map(({ name, jsonPath, priority = 0 }) => [
        name.toUpperCase(),
        `\`${jsonPath}\``,
        priority === 0 ? 'always' : 'with `-o wide`',
      ]),
    ),
    '',
    '## Conditions',
    '',
    ...Object.entries(CONDITIONS).flatMap(([type, { meaning, reasons }]) => [
      `### ${type}`,
      '',
      meaning,
      '',
      ...table(
        ['Reason', 'Meaning'],
        Object.entries(reasons).map(([reason, text]) => [`\`${reason}\``, text]),
      ),
      '',
    ]),
  ]
    .join('\n')
    .trimEnd()
    .concat('\n');
}

function fieldTable(schema: Schema | undefined, withDefaults: boolean): readonly string[] {
  const rows = fieldsOf(schema?.properties ?? {}, '').map(([path, field]) => [
    `\`${path}\``,
    ...(withDefaults ? [defaultOf(field)] : []),
    `${field.description ?? ''}${choices(field)}`.trim(),
  ]);
  return table(['Field', ...(withDefaults ? ['Default'] : []), 'Meaning'], rows);
}

function fieldsOf(
  properties: Readonly<Record<string, Schema>>,
  prefix: string,
): readonly (readonly [string, Schema])[] {
  return Object.entries(properties).flatMap(([name, field]) => {
    const path = `${prefix}${name}`;
    if (field.properties !== undefined) return fieldsOf(field.properties, `${path}.`);
    const inside = field.items?.properties;
    if (inside !== undefined) return [[path, field], ...fieldsOf(inside, `${path}[].`)] as const;
    return [[path, field]] as const;
  });
}

function defaultOf({ default: value, properties }: Schema): string {
  if (value === undefined || properties !== undefined) return '';
  return `\`${typeof value === 'string' ? value : JSON.stringify(value)}\``;
}

function choices(field: Schema): string {
  if (field.enum === undefined) return '';
  return ` One of ${field.enum.map((one) => `\`${String(one)}\``).join(', ')}.`;
}

/** A table as the formatter would leave it. */
function table(head: readonly string[], rows: readonly (readonly string[])[]): readonly string[] {
  const cells = [head, ...rows].map((row) => row.map((cell) => cell.replaceAll('|', '\\|')));
  const widths = head.map((_, at) => Math.max(3, ...cells.map((row) => (row[at] ?? '').length)));
  const line = (row: readonly string[]): string =>
    `| ${row.map((cell, at) => cell.padEnd(widths[at] ?? 0)).join(' | ')} |`;
  const [first = [], ...others] = cells;
  const rule = widths.map((width) => '-'.repeat(width));
  return [line(first), `| ${rule.join(' | ')} |`, ...others.map(line)];
}
