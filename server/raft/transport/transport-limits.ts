/** Bounds and timing of a transport. Durations are milliseconds and end in `Ms`. */
export type TransportLimits = {
  /** An attempt to connect that has led to no greeting after this long is given up. */
  readonly connectTimeoutMs: number;
  /** Pause before the second attempt to connect; doubles up to the maximum. */
  readonly reconnectDelayMinMs: number;
  /** Short, since an attempt is cheap and a restarted peer should be heard of soon. */
  readonly reconnectDelayMaxMs: number;
  /** A connection on which nothing comes back for this long while messages go out is broken. */
  readonly silenceMaxMs: number;
  /** A server that has been silent on a stream for this long answers the next frame at once. */
  readonly echoAfterMs: number;
  /** A stream whose opener has not greeted after this long is ended. */
  readonly greetingTimeoutMs: number;
  /** Bytes in one frame, unless a single message is larger. */
  readonly frameBytesMax: number;
  /** Bytes waiting for one peer; an append above it is dropped and the peer reported. */
  readonly bufferedBytesMax: number;
  /** Messages other than appends waiting for one peer; above it the oldest are dropped. */
  readonly bufferedUrgentMax: number;
  /** A message that waited this long for a connection is dropped: Raft has repeated it. */
  readonly messageLifeMs: number;
  /** Peers connected to at once; above it the one longest unused is closed. */
  readonly linksMax: number;
  /** Streams of peers served at once; more are refused. */
  readonly streamsMax: number;
  /** Snapshot chunks read at once for all peers; more are refused with EBUSY. */
  readonly copyReadsMax: number;
  /** A snapshot chunk that has not come after this long never will. */
  readonly copyTimeoutMs: number;
};

export const DEFAULT_TRANSPORT_LIMITS: TransportLimits = {
  connectTimeoutMs: 1_000,
  reconnectDelayMinMs: 20,
  reconnectDelayMaxMs: 200,
  silenceMaxMs: 2_000,
  echoAfterMs: 500,
  greetingTimeoutMs: 10_000,
  frameBytesMax: 1_048_576,
  bufferedBytesMax: 16_777_216,
  bufferedUrgentMax: 1_024,
  messageLifeMs: 1_000,
  linksMax: 64,
  streamsMax: 256,
  copyReadsMax: 16,
  copyTimeoutMs: 10_000,
};
