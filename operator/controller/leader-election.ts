import type { KubernetesApi } from './api-client.ts';
import { ApiError } from './api-error.ts';
import { delay, type Clock } from './clock.ts';
import {
  keyText,
  type KubernetesObject,
  type ObjectKey,
  type ResourceType,
} from './kubernetes-object.ts';
import { microTime } from './kubernetes-time.ts';
import type { Logger } from './logger.ts';

const LEASE_DURATION_MS = 15_000;
const RENEW_DEADLINE_MS = 10_000;
const RETRY_PERIOD_MS = 2_000;
/** Candidates wait up to this much longer, so that they do not all come at once. */
const RETRY_JITTER = 1.2;

export const LEASES: ResourceType = {
  group: 'coordination.k8s.io',
  version: 'v1',
  plural: 'leases',
  kind: 'Lease',
};

export type Lease = KubernetesObject & {
  readonly spec?: {
    readonly holderIdentity?: string;
    readonly leaseDurationSeconds?: number;
    readonly acquireTime?: string;
    readonly renewTime?: string;
    readonly leaseTransitions?: number;
  };
};

/** Another may lead by now: whoever worked under the Lease must stop at once. */
export class LeadershipLost extends Error {
  override readonly name = 'LeadershipLost';
}

export type LeaderElectionOptions = {
  readonly api: Pick<KubernetesApi, 'get' | 'create' | 'patch'>;
  readonly lease: ObjectKey;
  /** Unlike that of any other process that ever was: the pod's name and something random. */
  readonly identity: string;
  /** How long others wait for a holder that shows no life. Default 15,000. */
  readonly leaseDurationMs?: number;
  /** How long the holder goes on without a renewal; below the duration. Default 10,000. */
  readonly renewDeadlineMs?: number;
  /** Pause between attempts. Default 2,000. */
  readonly retryPeriodMs?: number;
  readonly clock: Clock;
  /** A number from 0 to below 1. */
  readonly random: () => number;
  readonly logger: Logger;
  readonly metrics?: { leading(isLeading: boolean): void };
};

type Attempt =
  | { readonly type: 'held'; readonly startedAt: number }
  | { readonly type: 'foreign'; readonly holder: string }
  | { readonly type: 'failed' };

/**
 * Lets one of several processes work, by a Lease. It saves double work; it cannot exclude that two
 * are at work for a moment, so what must not happen twice needs a fence of its own.
 *
 * Whether a holder is alive is judged by this process's monotonic clock alone: its Lease must have
 * changed within the Lease's duration. The times written in it are for people.
 */
export class LeaderElection {
  readonly #options: LeaderElectionOptions;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #leaseDurationMs: number;
  readonly #renewDeadlineMs: number;
  readonly #retryPeriodMs: number;
  /** The last state of the Lease that differed from the one before, and when it was seen. */
  #observed = { record: '', at: 0 };

  /** @throws RangeError unless retry period < renew deadline < lease duration. */
  constructor(options: LeaderElectionOptions) {
    this.#options = options;
    this.#clock = options.clock;
    this.#logger = options.logger;
    this.#leaseDurationMs = options.leaseDurationMs ?? LEASE_DURATION_MS;
    this.#renewDeadlineMs = options.renewDeadlineMs ?? RENEW_DEADLINE_MS;
    this.#retryPeriodMs = options.retryPeriodMs ?? RETRY_PERIOD_MS;
    const isOrdered =
      this.#retryPeriodMs < this.#renewDeadlineMs && this.#renewDeadlineMs < this.#leaseDurationMs;
    if (!isOrdered) {
      throw new RangeError(
        'leader election needs: retry period < renew deadline < lease duration; ' +
          `got ${this.#retryPeriodMs}, ${this.#renewDeadlineMs}, ${this.#leaseDurationMs} ms`,
      );
    }
  }

  /**
   * Waits for the Lease, runs `onLeading` under it and gives it back when that ends. `signal` ends
   * the waiting; once leading, it is for `onLeading` to heed it, under a Lease that is renewed
   * until the last of its work is done.
   *
   * @param onLeading gets a signal that fires when leadership is lost.
   * @throws LeadershipLost without waiting for `onLeading`; and what `onLeading` throws.
   */
  async run(signal: AbortSignal, onLeading: (lost: AbortSignal) => Promise<void>): Promise<void> {
    this.#options.metrics?.leading(false);
    const acquired = await this.#acquire(signal);
    if (acquired === undefined) return;
    this.#logger.info('leading', this.#fields());
    this.#options.metrics?.leading(true);
    const tenure = new Tenure(this.#clock, this.#renewDeadlineMs, acquired);
    const renewing = this.#renew(tenure);
    try {
      if (!signal.aborted) await Promise.race([onLeading(tenure.lost), tenure.failed]);
    } finally {
      await this.#end(tenure, renewing);
    }
  }

  async #end(tenure: Tenure, renewing: Promise<void>): Promise<void> {
    tenure.over.abort();
    this.#options.metrics?.leading(false);
    if (!tenure.lost.aborted) {
      // A renewal under way must not come after the release; if it hangs, the deadline ends it.
      await Promise.race([renewing, tenure.failed.catch(() => undefined)]);
    }
    const isHeld = !tenure.lost.aborted;
    tenure.disarm();
    if (isHeld) await this.#release();
  }

  /** When the attempt that took the Lease began; undefined when `signal` fired first. */
  async #acquire(signal: AbortSignal): Promise<number | undefined> {
    let knownHolder: string | undefined;
    while (!signal.aborted) {
      const attempt = await this.#attempt();
      if (attempt.type === 'held') return attempt.startedAt;
      if (attempt.type === 'foreign' && attempt.holder !== knownHolder) {
        knownHolder = attempt.holder;
        this.#logger.info('another leads, waiting', { ...this.#fields(), holder: knownHolder });
      }
      const jitter = 1 + RETRY_JITTER * this.#options.random();
      await delay(this.#clock, this.#retryPeriodMs * jitter, signal);
    }
    return undefined;
  }

  async #renew(tenure: Tenure): Promise<void> {
    for (;;) {
      await delay(this.#clock, this.#retryPeriodMs, tenure.ending);
      if (tenure.ending.aborted) return;
      const attempt = await this.#attempt();
      if (attempt.type === 'held') tenure.extend(attempt.startedAt);
      if (attempt.type === 'foreign') tenure.lose(`${attempt.holder} holds the Lease now`);
    }
  }

  /** Takes or renews the Lease, if nobody else holds it. Never throws. */
  async #attempt(): Promise<Attempt> {
    const startedAt = this.#clock.now();
    const failed = { type: 'failed' } as const;
    const abandoned = Promise.withResolvers<Attempt>();
    // A single answer that does not come must not cost the Lease.
    const cancel = this.#clock.after(this.#renewDeadlineMs / 2, () => {
      this.#logger.warn('no answer about the Lease, trying again', this.#fields());
      abandoned.resolve(failed);
    });
    const isLate = (): boolean => this.#clock.now() - startedAt >= this.#renewDeadlineMs;
    try {
      const holder = await Promise.race([this.#takeUnlessHeld(), abandoned.promise]);
      if (typeof holder === 'object') return holder;
      if (holder !== undefined) return { type: 'foreign', holder };
      return isLate() ? failed : { type: 'held', startedAt };
    } catch (error) {
      const isRace = error instanceof ApiError && error.isConflict;
      const fields = { ...this.#fields(), error: String(error) };
      if (isRace) this.#logger.debug('another was faster with the Lease', fields);
      else this.#logger.warn('the Lease could not be read or written', fields);
      return failed;
    } finally {
      cancel();
    }
  }

  /** The other holder, or undefined when the Lease is ours now. */
  async #takeUnlessHeld(): Promise<string | undefined> {
    const { api, lease: key, identity } = this.#options;
    const lease = await api.get<Lease>(LEASES, key);
    if (lease === undefined) {
      await api.create<Lease>(LEASES, { metadata: key, spec: this.#specAfter(undefined) });
      return undefined;
    }
    const holder = lease.spec?.holderIdentity ?? '';
    if (holder !== '' && holder !== identity && !this.#isExpired(lease)) return holder;
    await this.#write(lease, this.#specAfter(lease));
    return undefined;
  }

  #isExpired(lease: Lease): boolean {
    const now = this.#clock.now();
    const record = JSON.stringify([lease.metadata.uid, lease.spec]);
    if (record !== this.#observed.record) this.#observed = { record, at: now };
    const seconds = lease.spec?.leaseDurationSeconds;
    const durationMs = seconds === undefined ? this.#leaseDurationMs : seconds * 1000;
    return now - this.#observed.at >= durationMs;
  }

  #specAfter(previous: Lease | undefined): NonNullable<Lease['spec']> {
    const { identity } = this.#options;
    const renewTime = microTime(this.#clock.wallTime());
    const isRenewal = previous?.spec?.holderIdentity === identity;
    const transitions = previous?.spec?.leaseTransitions ?? 0;
    return {
      holderIdentity: identity,
      leaseDurationSeconds: Math.ceil(this.#leaseDurationMs / 1000),
      acquireTime: isRenewal ? (previous.spec.acquireTime ?? renewTime) : renewTime,
      renewTime,
      leaseTransitions: previous === undefined || isRenewal ? transitions : transitions + 1,
    };
  }

  async #write(lease: Lease, spec: NonNullable<Lease['spec']>): Promise<void> {
    const { uid, resourceVersion } = lease.metadata;
    const body = { metadata: { uid, resourceVersion }, spec };
    await this.#options.api.patch(LEASES, this.#options.lease, { body });
  }

  /** Empties the holder, so that the next need not wait for the Lease to expire. */
  async #release(): Promise<void> {
    const { api, lease: key, identity } = this.#options;
    const giveBack = async (): Promise<void> => {
      const lease = await api.get<Lease>(LEASES, key);
      if (lease?.spec?.holderIdentity !== identity) return;
      const renewTime = microTime(this.#clock.wallTime());
      await this.#write(lease, { holderIdentity: '', leaseDurationSeconds: 1, renewTime });
      this.#logger.info('gave the Lease back', this.#fields());
    };
    const waiting = new AbortController();
    try {
      await Promise.race([giveBack(), delay(this.#clock, this.#renewDeadlineMs, waiting.signal)]);
    } catch (error) {
      const fields = { ...this.#fields(), error: String(error) };
      this.#logger.warn('the Lease could not be given back, it will expire', fields);
    } finally {
      waiting.abort();
    }
  }

  #fields(): { readonly lease: string; readonly identity: string } {
    return { lease: keyText(this.#options.lease), identity: this.#options.identity };
  }
}

/** One time in office: it ends by itself unless it is extended before the deadline. */
class Tenure {
  /** Fires when the work under the Lease is done. */
  readonly over = new AbortController();
  /** Rejects with LeadershipLost. */
  readonly failed: Promise<never>;
  /** Fires when the tenure is over or lost. */
  readonly ending: AbortSignal;
  readonly #clock: Clock;
  readonly #deadlineMs: number;
  readonly #lost = new AbortController();
  readonly #failed = Promise.withResolvers<never>();
  #disarm: () => void = () => undefined;

  constructor(clock: Clock, deadlineMs: number, renewedAt: number) {
    this.#clock = clock;
    this.#deadlineMs = deadlineMs;
    this.failed = this.#failed.promise;
    this.failed.catch(() => undefined);
    this.ending = AbortSignal.any([this.over.signal, this.#lost.signal]);
    this.extend(renewedAt);
  }

  get lost(): AbortSignal {
    return this.#lost.signal;
  }

  /** @param renewedAt when the request of the renewal was sent: others count from later. */
  extend(renewedAt: number): void {
    this.#disarm();
    const leftMs = renewedAt + this.#deadlineMs - this.#clock.now();
    this.#disarm = this.#clock.after(Math.max(0, leftMs), () => {
      this.lose(`no renewal for ${this.#deadlineMs} ms`);
    });
  }

  lose(why: string): void {
    this.disarm();
    const error = new LeadershipLost(`leadership is lost: ${why}`);
    this.#lost.abort(error);
    this.#failed.reject(error);
  }

  disarm(): void {
    this.#disarm();
  }
}
