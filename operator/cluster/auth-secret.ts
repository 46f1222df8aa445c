import { randomBytes } from 'node:crypto';
import { ApiError } from '../controller/api-error.ts';
import type { KubernetesApi } from '../controller/api-client.ts';
import type { OwnerReference } from '../controller/kubernetes-object.ts';
import { secretToSend, type SecretObject } from '../resources/auth-secret.ts';
import { authSecretName, commonLabels, type ClusterName } from '../resources/names.ts';
import { SECRETS } from '../resources/resource-types.ts';
import type { OwnerTools } from './ownership.ts';

const SECRET_BYTES = 32;
/** The Secret is read again no sooner than after this long. */
const READ_AGAIN_MS = 10_000;

/**
 * What peers and administrators of one cluster must know, as its Secret has it. The operator may
 * not watch Secrets, so it reads this one when it has a reason to. Nothing of it is ever logged.
 */
export class AuthSecret {
  readonly #cluster: ClusterName;
  #text = '';
  /** It was looked for, and was not there. */
  #isMissing = false;
  #readAtMs = -Infinity;
  #isDoubted = false;

  constructor(cluster: ClusterName) {
    this.#cluster = cluster;
  }

  /** The one to show to servers; empty before there is one. */
  get text(): string {
    return this.#text;
  }

  /** Reads it, unless it is known and works, or has just been read. `nowMs` is monotonic. */
  async read(api: KubernetesApi, nowMs: number): Promise<void> {
    if (this.#text !== '' && !this.#isDoubted) return;
    if (nowMs - this.#readAtMs < READ_AGAIN_MS) return;
    this.#readAtMs = nowMs;
    const secret = await api.get<SecretObject>(SECRETS, this.#key);
    this.#isMissing = secret === undefined;
    const text = secretToSend(secret);
    if (text !== '') this.#text = text;
  }

  /** Some pod does not run, does not answer or refuses us: it may be for the lack of the secret. */
  doubt(isDoubted: boolean): void {
    this.#isDoubted = isDoubted;
  }

  /**
   * Makes the Secret again when it was found to be gone. One that somebody else has made is used, and
   * stays theirs, as does one that a former cluster left behind: the operator may not change Secrets.
   *
   * @returns what was made: the same secret again, or another one.
   */
  async keep(tools: OwnerTools): Promise<'same' | 'another' | undefined> {
    if (!this.#isMissing) return undefined;
    this.#isMissing = false;
    return this.#makeAgain(tools);
  }

  async #makeAgain({ api, owner }: OwnerTools): Promise<'same' | 'another' | undefined> {
    const outcome = this.#text === '' ? 'another' : 'same';
    const text = this.#text === '' ? freshSecret() : this.#text;
    const isNew = await createSecret(api, secretObject(this.#cluster, owner, text));
    if (isNew) this.#text = text;
    return isNew ? outcome : undefined;
  }

  get #key(): { readonly namespace: string; readonly name: string } {
    const { namespace, name } = this.#cluster;
    return { namespace, name: authSecretName(name) };
  }
}

/** Makes the Secret of a new cluster: drawn once. If it exists, whoever made it was first. */
export async function ensureSecret(
  api: KubernetesApi,
  cluster: ClusterName,
  owner: OwnerReference,
): Promise<void> {
  await createSecret(api, secretObject(cluster, owner, freshSecret()));
}

function freshSecret(): string {
  return randomBytes(SECRET_BYTES).toString('base64url');
}

function secretObject({ namespace, name }: ClusterName, owner: OwnerReference, secret: string) {
  return {
    metadata: {
      ...{ namespace, name: authSecretName(name) },
      labels: commonLabels(name),
      ownerReferences: [owner],
    },
    stringData: { secret },
  };
}

/** Whether it did not exist before. */
async function createSecret(
  api: KubernetesApi,
  object: ReturnType<typeof secretObject>,
): Promise<boolean> {
  try {
    await api.create(SECRETS, object);
    return true;
  } catch (error) {
    if (error instanceof ApiError && error.reason === 'AlreadyExists') return false;
    throw error;
  }
}
