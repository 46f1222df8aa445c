import type { MemberPicture, Picture } from './picture.ts';
import { durationText, tableText, type Column } from './text.ts';

const COLUMNS: readonly Column<MemberPicture>[] = [
  { name: 'POD', cell: ({ pod }) => pod },
  { name: 'NODE', cell: ({ node }) => node },
  { name: 'ROLE', cell: ({ role }) => role },
  { name: 'STATE', cell: ({ state }) => state },
  { name: 'APPLIED', cell: ({ appliedIndex }) => appliedIndex, right: true },
  { name: 'LAG', cell: ({ lag }) => lag, right: true },
  { name: 'VERSION', cell: ({ version }) => version },
];

/** A group as text: who leads, every member, what goes on, what is amiss. */
export function pictureText(picture: Picture, now: Date): string {
  const { members, operation, amiss, unseen } = picture;
  const [head = '', ...rows] = tableText(COLUMNS, members);
  const marked = (row: string, at: number): string => `${markOf(members[at])} ${row}`;
  return [
    `${picture.namespace}/${picture.name}: ${picture.status}, ${picture.message}`,
    groupText(picture, { fast: true }),
    ...section(members.length === 0 ? [] : [`  ${head}`, ...rows.map(marked)]),
    ...(operation === undefined ? [] : ['', operationText(operation, now)]),
    ...section(troubles(picture)),
    ...section(amiss),
    ...section(unseen),
  ].join('\n');
}

function section(lines: readonly string[]): readonly string[] {
  return lines.length === 0 ? [] : ['', ...lines];
}

function troubles({ members }: Picture): readonly string[] {
  return members.flatMap(({ pod, trouble }) => (trouble === undefined ? [] : `${pod}: ${trouble}`));
}

/** Who leads is marked, and who needs a look. */
function markOf(member: MemberPicture | undefined): string {
  if (member?.role === 'Leader') return '*';
  return member?.state === 'Participating' ? ' ' : '!';
}

function groupText(picture: Picture, { fast }: { readonly fast: boolean }): string {
  const { leader, term, voters, quorum, faultTolerance, committedIndex, version } = picture;
  const parts = [
    leader === undefined ? 'nobody leads' : `${leader} leads`,
    term === undefined ? undefined : `term ${String(term)}`,
    quorum === undefined ? undefined : `quorum ${String(quorum)} of ${String(voters ?? '?')}`,
    faultTolerance === undefined ? undefined : `${String(faultTolerance)} more may fail`,
    !fast || committedIndex === undefined ? undefined : `committed ${String(committedIndex)}`,
    version === undefined ? undefined : `version ${version}`,
  ];
  return parts.filter((part) => part !== undefined).join(', ');
}

export function operationText(
  { type, message, startedAt }: NonNullable<Picture['operation']>,
  now: Date,
): string {
  return `${type} for ${durationText(now.getTime() - Date.parse(startedAt))}: ${message}`;
}

/** What of a picture changes on events: a line for the group and one for each member. */
export function eventLines(picture: Picture): readonly string[] {
  const { namespace, name, members, operation } = picture;
  const group = `${namespace}/${name}`;
  const under = operation === undefined ? '' : `; ${operation.type}: ${operation.message}`;
  return [
    `${group}: ${picture.status}, ${groupText(picture, { fast: false })}${under}`,
    ...members.map(({ pod, node, role, state, version, trouble }) =>
      [`${group}: ${pod}`, role, state, `on ${node ?? '-'}`, version, trouble]
        .filter((part) => part !== undefined)
        .join(', '),
    ),
    ...[...picture.amiss, ...picture.unseen].map((line) => `${group}: ${line}`),
  ];
}

/** Many groups, a line each. */
export function listText(pictures: readonly SummaryRow[]): string {
  return tableText(LIST_COLUMNS, pictures).join('\n');
}

/** What the operator has noted of a group. */
export type SummaryRow = Omit<Picture, 'members' | 'amiss' | 'unseen' | 'message'> & {
  readonly participating: number;
};

const LIST_COLUMNS: readonly Column<SummaryRow>[] = [
  { name: 'NAMESPACE', cell: ({ namespace }) => namespace },
  { name: 'NAME', cell: ({ name }) => name },
  { name: 'MEMBERS', cell: ({ participating, voters }) => `${participating}/${voters ?? '?'}` },
  { name: 'LEADER', cell: ({ leader }) => leader },
  { name: 'TERM', cell: ({ term }) => term, right: true },
  { name: 'TOLERANCE', cell: ({ faultTolerance }) => faultTolerance, right: true },
  { name: 'STATUS', cell: ({ status }) => status },
  { name: 'VERSION', cell: ({ version }) => version },
  {
    name: 'OPERATION',
    cell: ({ operation }) => operation && `${operation.type}: ${operation.message}`,
  },
];
