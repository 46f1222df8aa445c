import type { AtomicClusterSpec, AtomicClusterStatus } from '../api/atomic-cluster.ts';

/** An image without and with its tag. */
export type ImageName = { readonly repository: string; readonly tag: string };

/** Splits an image at its tag; a text without one is all tag. */
export function imageName(text: string): ImageName {
  const colon = text.lastIndexOf(':');
  return { repository: text.slice(0, Math.max(0, colon)), tag: text.slice(colon + 1) };
}

/** The image that the servers of a cluster run: `own`, the operator's, where nothing else is said. */
export function serverImage(
  { image, version }: Pick<AtomicClusterSpec, 'image' | 'version'>,
  status: Pick<AtomicClusterStatus, 'version'>,
  own: ImageName,
): string {
  return `${image.repository ?? own.repository}:${version ?? status.version ?? own.tag}`;
}
