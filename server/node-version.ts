const MAJOR_MIN = 22;
const MINOR_MIN = 19;

/** @throws Error when this Node is too old for the program. */
export function checkNodeVersion(): void {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  if (major > MAJOR_MIN || (major === MAJOR_MIN && minor >= MINOR_MIN)) return;
  const needed = `${String(MAJOR_MIN)}.${String(MINOR_MIN)}`;
  throw new Error(
    `Node ${needed} or newer is needed, this is ${process.versions.node}; npm scripts bring their own`,
  );
}
