/** Who makes the bed's volumes. */
export const PROVISIONER = 'atomicraft.dev/bed';

/**
 * Disks that die with their node, which is the default as on most machines of one's own, and disks
 * that follow their pod.
 */
export const STORAGE_CLASSES = [
  { name: 'node-bound', nodeBound: true },
  { name: 'network', nodeBound: false },
] as const;

/** The StorageClass objects. */
export function storageClassObjects(): readonly object[] {
  return STORAGE_CLASSES.map(({ name, nodeBound }) => ({
    apiVersion: 'storage.k8s.io/v1',
    kind: 'StorageClass',
    metadata: {
      name,
      annotations: { 'storageclass.kubernetes.io/is-default-class': String(nodeBound) },
    },
    provisioner: PROVISIONER,
    volumeBindingMode: 'WaitForFirstConsumer',
    reclaimPolicy: 'Delete',
    allowVolumeExpansion: true,
  }));
}
