import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The project's root folder. */
export const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

/** Where npm puts the packages. */
export const modules = join(root, 'node_modules');

/** The package that carries the pinned Node binary of this platform. */
export const runtimePackage = `node-${process.platform}-${process.arch}`;
