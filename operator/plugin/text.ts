const SECOND_MS = 1_000;
const MINUTE_MS = 60 * SECOND_MS;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

/** How long something has lasted, in the two largest units that matter: `2m10s`. */
export function durationText(ms: number): string {
  const whole = Math.max(0, ms);
  if (whole >= DAY_MS) return twoUnits(whole, [DAY_MS, 'd'], [HOUR_MS, 'h']);
  if (whole >= HOUR_MS) return twoUnits(whole, [HOUR_MS, 'h'], [MINUTE_MS, 'm']);
  if (whole >= MINUTE_MS) return twoUnits(whole, [MINUTE_MS, 'm'], [SECOND_MS, 's']);
  return `${String(Math.floor(whole / SECOND_MS))}s`;
}

type Unit = readonly [ms: number, name: string];

function twoUnits(ms: number, [large, largeName]: Unit, [small, smallName]: Unit): string {
  const rest = Math.floor((ms % large) / small);
  const first = `${String(Math.floor(ms / large))}${largeName}`;
  return rest === 0 ? first : `${first}${String(rest)}${smallName}`;
}

export type Column<T> = {
  readonly name: string;
  readonly cell: (row: T) => string | number | undefined;
  /** Numbers stand at the right. */
  readonly right?: boolean;
};

/** Rows under the names of their columns; what is not known is a dash. */
export function tableText<T>(columns: readonly Column<T>[], rows: readonly T[]): readonly string[] {
  const cells = [
    columns.map(({ name }) => name),
    ...rows.map((row) => columns.map(({ cell }) => String(cell(row) ?? '-'))),
  ];
  const widths = columns.map((_, at) => Math.max(...cells.map((line) => line[at]?.length ?? 0)));
  return cells.map((line) =>
    line
      .map((cell, at) => {
        const width = widths[at] ?? 0;
        return columns[at]?.right === true ? cell.padStart(width) : cell.padEnd(width);
      })
      .join('  ')
      .trimEnd(),
  );
}
