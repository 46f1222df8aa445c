import type {
  ApplyIterator,
  LeaderChangeContext,
  NodeError,
  StateMachine,
} from '../../server/raft/node/state-machine.ts';
import type { SnapshotReader, SnapshotWriter } from '../../server/raft/storage/snapshot-storage.ts';
import type { FileSystem } from '../../server/raft/storage/file-system.ts';

/** A state machine that keeps every text it was given, and writes down every call. */
export class RegisterMachine implements StateMachine<string> {
  readonly calls: string[] = [];
  readonly contexts: (string | undefined)[] = [];
  texts: string[] = [];
  errors: NodeError[] = [];
  /** A text that makes the machine give up. */
  poison: string | undefined;
  readonly #fileSystem: FileSystem;

  constructor(fileSystem: FileSystem) {
    this.#fileSystem = fileSystem;
  }

  onApply(iterator: ApplyIterator<string>): void {
    while (iterator.valid()) {
      const text = new TextDecoder().decode(iterator.data());
      if (text === this.poison) {
        iterator.setErrorAndRollback(1, 'poisoned');
        return;
      }
      this.texts.push(text);
      this.contexts.push(iterator.context());
      iterator.next();
    }
  }

  async onSnapshotSave(writer: SnapshotWriter): Promise<void> {
    const bytes = new TextEncoder().encode(JSON.stringify(this.texts));
    const file = await this.#fileSystem.open(`${writer.path}/texts`, 'create');
    file.writeNow(bytes, 0);
    await file.close();
    writer.addFile('texts');
    this.calls.push('snapshotSave');
  }

  async onSnapshotLoad(reader: SnapshotReader): Promise<void> {
    const bytes = await reader.read('texts', 0, 1_000_000);
    const texts: unknown = JSON.parse(new TextDecoder().decode(bytes));
    if (!Array.isArray(texts)) throw new Error('the snapshot is no list');
    this.texts = texts.map(String);
    this.calls.push('snapshotLoad');
  }

  onLeaderStart(term: number): void {
    this.calls.push(`leaderStart ${String(term)}`);
  }

  onLeaderStop(): void {
    this.calls.push('leaderStop');
  }

  onConfigurationCommitted(): void {
    this.calls.push('configuration');
  }

  onStartFollowing({ leader }: LeaderChangeContext): void {
    this.calls.push(`startFollowing ${leader}`);
  }

  onStopFollowing({ leader }: LeaderChangeContext): void {
    this.calls.push(`stopFollowing ${leader}`);
  }

  onError(error: NodeError): void {
    this.errors.push(error);
    this.calls.push('error');
  }

  onShutdown(): void {
    this.calls.push('shutdown');
  }
}
