import { join, resolve } from 'node:path';

/** Where the bed keeps what it builds and what it runs on. */
export const BED_FOLDER = resolve(import.meta.dirname, '../../../.cache/cluster');

/** Keys, certificates and kubeconfigs. */
export const PKI_FOLDER = join(BED_FOLDER, 'pki');

/** What dies with the cluster: etcd's data, logs, the disks of the nodes. */
export const RUN_FOLDER = join(BED_FOLDER, 'run');

/** Image archives that every node loads when it starts. */
export const IMAGES_FOLDER = join(BED_FOLDER, 'images');

export const ADMIN_KUBECONFIG = join(PKI_FOLDER, 'admin.kubeconfig');
