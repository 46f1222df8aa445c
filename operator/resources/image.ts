import type { AtomicClusterSpec, AtomicClusterStatus } from '../api/atomic-cluster.ts';

/** An image without and with its tag. */
export type ImageName = { readonly repository: string; readonly tag: string };

/** The image that the servers of a cluster run; `fallback` where neither spec nor status says. */
export function serverImage(
  { image, version }: Pick<AtomicClusterSpec, 'image' | 'version'>,
  status: Pick<AtomicClusterStatus, 'version'>,
  { repository, tag }: ImageName,
): string {
  return `${image.repository ?? repository}:${version ?? status.version ?? tag}`;
}
