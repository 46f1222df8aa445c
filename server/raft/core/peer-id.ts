import type { PeerId } from './ids.ts';

/** A peer id that could be read, or one sentence that says what is wrong with it. */
export type ParsedPeerId =
  { readonly ok: true; readonly peer: PeerId } | { readonly ok: false; readonly reason: string };

/** The fields of a PeerId (braft PeerId: addr, idx, role). */
export type PeerFields = {
  /** A lower-case name, an IPv4 address, or an IPv6 address without brackets. */
  readonly host: string;
  readonly port: number;
  readonly index: number;
  readonly role: 'replica' | 'witness';
};

/** braft's ANY_PEER: lets the group choose. */
export const ANY_PEER = '0.0.0.0:0:0:0' as PeerId;

/**
 * Reads `host:port[:index[:role]]` into its canonical four-field text (braft PeerId::parse, but
 * host names and bracketed IPv6 are allowed and trailing garbage is not). A trailing colon is fine.
 */
export function parsePeerId(text: string): ParsedPeerId {
  const match = /^(\[[^\]]*\]|[^:[\]]*):(\d{1,5})(?::(\d{0,9})(?::(\d{0,3}))?)?$/.exec(text.trim());
  if (match === null) return wrong(text, 'expected host:port[:index[:role]]');
  const host = canonicalHost(match[1] ?? '');
  if (host === undefined) return wrong(text, 'the host is neither a name nor an IP address');
  const port = Number(match[2]);
  if (port > 65_535) return wrong(text, 'the port is above 65535');
  const role = Number(match[4] ?? 0);
  if (role > 1) return wrong(text, 'the role must be 0 (replica) or 1 (witness)');
  const index = Number(match[3] ?? 0);
  return { ok: true, peer: `${host}:${String(port)}:${String(index)}:${String(role)}` as PeerId };
}

/**
 * Reads a comma-separated list of peers (braft Configuration::parse_from): empty fields are
 * skipped, a repeated member is refused.
 */
export function parsePeers(
  text: string,
):
  | { readonly ok: true; readonly peers: ReadonlySet<PeerId> }
  | { readonly ok: false; readonly reason: string } {
  const peers = new Set<PeerId>();
  for (const field of text.split(',')) {
    if (field.trim() === '') continue;
    const parsed = parsePeerId(field);
    if (!parsed.ok) return parsed;
    if (peers.has(parsed.peer)) return wrong(field, 'the same peer is listed twice');
    peers.add(parsed.peer);
  }
  return { ok: true, peers };
}

/** The fields of a canonical peer id. */
export function peerFields(peer: PeerId): PeerFields {
  const match = /^(.*):(\d+):(\d+):(\d+)$/.exec(peer);
  const host = match?.[1] ?? '';
  return {
    host: host.startsWith('[') ? host.slice(1, -1) : host,
    port: Number(match?.[2] ?? 0),
    index: Number(match?.[3] ?? 0),
    role: match?.[4] === '1' ? 'witness' : 'replica',
  };
}

/** Where to dial: `host:port`, with brackets around an IPv6 address. */
export function peerAddress(peer: PeerId): string {
  return peer.slice(0, peer.lastIndexOf(':', peer.lastIndexOf(':') - 1));
}

/** Peers in one text, comma separated and sorted: equal sets give equal text. */
export function peersText(peers: Iterable<PeerId>): string {
  return [...peers].sort().join(',');
}

function wrong(text: string, why: string): { readonly ok: false; readonly reason: string } {
  return { ok: false, reason: `"${text.slice(0, 100)}" is not a peer id: ${why}` };
}

function canonicalHost(host: string): string | undefined {
  if (host.startsWith('[')) {
    const address = canonicalIpv6(host.slice(1, -1));
    return address === undefined ? undefined : `[${address}]`;
  }
  const name = host.toLowerCase().replace(/\.$/, '');
  // All-numeric names would be ambiguous with addresses, so they must be valid IPv4.
  if (/^[\d.]+$/.test(name)) return isIpv4(name) ? name : undefined;
  const label = /^[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?$/;
  return name.length <= 253 && name.split('.').every((part) => label.test(part)) ? name : undefined;
}

function isIpv4(text: string): boolean {
  const parts = text.split('.');
  return (
    parts.length === 4 && parts.every((part) => /^(0|[1-9]\d{0,2})$/.test(part) && +part < 256)
  );
}

/** RFC 5952: lower case, no leading zeros, the longest run of zeros as `::`. */
function canonicalIpv6(text: string): string | undefined {
  const groups = ipv6Groups(text.toLowerCase());
  if (groups === undefined) return undefined;
  let best = { start: -1, length: 1 };
  let start = 0;
  while (start < 8) {
    let end = start;
    while (end < 8 && groups[end] === 0) end++;
    if (end - start > best.length) best = { start, length: end - start };
    start = end === start ? start + 1 : end;
  }
  const hex = groups.map((group) => group.toString(16));
  if (best.start < 0) return hex.join(':');
  return `${hex.slice(0, best.start).join(':')}::${hex.slice(best.start + best.length).join(':')}`;
}

function ipv6Groups(text: string): number[] | undefined {
  const halves = text.split('::');
  if (halves.length > 2) return undefined;
  const [head, tail] = halves.map((half) => (half === '' ? [] : half.split(':').map(ipv6Group)));
  const given = [...(head ?? []), ...(tail ?? [])];
  if (given.some((group) => group === undefined)) return undefined;
  const missing = 8 - given.length;
  if (halves.length === 1 ? missing !== 0 : missing < 1) return undefined;
  const zeros = Array.from({ length: missing }, () => 0);
  return [...(head ?? []), ...zeros, ...(tail ?? [])].map((group) => group ?? 0);
}

function ipv6Group(text: string): number | undefined {
  return /^[0-9a-f]{1,4}$/.test(text) ? Number.parseInt(text, 16) : undefined;
}
