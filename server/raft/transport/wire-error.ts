/** What came over the network is no valid message; it is dropped and counted, never acted on. */
export class WireError extends Error {
  override readonly name = 'WireError';
}
