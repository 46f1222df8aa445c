import type { CoreOptions } from '../../server/raft/core/state.ts';
import type { MembershipChange } from '../../server/raft/core/membership.ts';
import type { Message } from '../../server/raft/core/message.ts';
import { Incarnation, MonotonicMs } from '../../server/raft/core/ids.ts';
import { CoreCluster, letterOf, peer, saveSnapshot } from './core-cluster.ts';
import { effectText, entryText, line, messageName, messageText } from './transcript-text.ts';
import { shortPeers, statusText } from './transcript-text.ts';

type Words = readonly string[];

/**
 * Runs the commands of a golden file on cores and writes down everything that happens. Messages get
 * numbers as they are sent and stay in one queue until a command delivers or drops them.
 */
export class Transcript {
  #group: CoreCluster | undefined;
  #lines: string[] = [];
  #numbers = new WeakMap<Message, number>();
  #sent = 0;
  readonly #commands: ReadonlyMap<string, (words: Words) => void> = this.#allCommands();

  /** The lines that one command makes. */
  run(command: string): readonly string[] {
    this.#lines = [];
    const [name = '', ...words] = command.trim().split(/\s+/);
    if (name === 'quietly') {
      this.#command(words);
      this.#lines = [];
      // Set-up is not shown, so what follows counts from one.
      if (this.#cluster().messages.length === 0) this.#sent = 0;
    } else {
      this.#command([name, ...words]);
    }
    return this.#lines;
  }

  #command([name = '', ...words]: Words): void {
    const command = this.#commands.get(name);
    if (command === undefined) throw new Error(`"${name}" is not a command of golden files`);
    command(words);
  }

  #allCommands(): ReadonlyMap<string, (words: Words) => void> {
    return new Map(
      Object.entries({
        ...this.#groupCommands(),
        ...this.#timeCommands(),
        ...this.#networkCommands(),
        ...this.#requestCommands(),
        ...this.#diskCommands(),
        ...this.#viewCommands(),
      }),
    );
  }

  #groupCommands(): Record<string, (words: Words) => void> {
    return {
      // group abc [joining=de] [lease] [option=number...]
      group: ([voters = '', ...options]) => {
        this.#start(voters, options);
      },
      elect: ([letter = '']) => {
        this.#cluster().elect(letter);
      },
      crash: ([letter = '']) => {
        this.#cluster().crash(letter);
      },
      restart: ([letter = '']) => {
        this.#cluster().restart(letter);
      },
      // It comes back with another, empty disk.
      wipe: ([letter = '']) => {
        const disk = Incarnation(`new-disk-${letter}`);
        this.#cluster().start(letter, { joined: false, firstStart: false }, disk);
      },
    };
  }

  #timeCommands(): Record<string, (words: Words) => void> {
    return {
      // The election timeout of one node passes.
      timeout: ([letter = '']) => {
        const cluster = this.#cluster();
        cluster.now += 2 * cluster.state(letter).timing.electionTimeoutMs;
        cluster.tick(letter);
      },
      // wait <ms> [letters]: time passes at once; nothing is delivered.
      wait: ([ms = '', letters]) => {
        const cluster = this.#cluster();
        cluster.now += Number(ms);
        for (const letter of letters ?? [...cluster.nodes.keys()]) cluster.tick(letter);
      },
      // wake <letter> <ms>: its process slept that long and now goes on.
      wake: ([letter = '', ms = '']) => {
        const cluster = this.#cluster();
        cluster.tick(letter, cluster.now, Number(ms));
      },
      // run <ms>: time passes in small steps and everything is delivered.
      run: ([ms = '']) => {
        this.#cluster().run(Number(ms));
      },
    };
  }

  #networkCommands(): Record<string, (words: Words) => void> {
    return {
      // deliver|drop|repeat [#number...] [from>to] [name]
      deliver: (words) => {
        for (const message of this.#take(words)) this.#cluster().receive(message);
      },
      drop: (words) => {
        for (const message of this.#take(words)) this.#lost(message);
      },
      repeat: (words) => {
        const { messages } = this.#cluster();
        messages.push(...messages.filter(filterOf(words, this.#numbers)));
      },
      // stabilize [letters]: delivers until nothing is left, among these nodes only.
      stabilize: ([letters]) => {
        this.#stabilize(letters);
      },
      cut: ([letters = '']) => {
        this.#cluster().isolate(letters);
      },
      // lose [from>to] [name]: from now on such messages never arrive.
      lose: (words) => {
        const matches = filterOf(words, this.#numbers);
        this.#cluster().deliver = (message) => !matches(message);
      },
      heal: () => {
        this.#cluster().heal();
      },
      unreachable: ([letter = '', other = '']) => {
        this.#cluster().event(letter, { type: 'peerUnreachable', peer: peer(other) });
      },
    };
  }

  #requestCommands(): Record<string, (words: Words) => void> {
    return {
      propose: ([letter = '', ...texts]) => {
        for (const text of texts) this.#cluster().propose(letter, text);
      },
      read: ([letter = '', how]) => {
        this.#cluster().read(letter, how === 'lease' ? 'lease' : 'linearizable');
      },
      // change a add|remove|voters|learner|unlearn|promote <letters>
      change: ([letter = '', what = '', letters = '']) => {
        this.#cluster().change(letter, { target: targetOf(what, letters) });
      },
      transfer: ([letter = '', target]) => {
        this.#cluster().transfer(letter, target);
      },
      vote: ([letter = '']) => {
        this.#cluster().campaign(letter);
      },
      reset: ([letter = '', voters = '']) => {
        this.#cluster().resetPeers(letter, voters);
      },
      readonly: ([letter = '', on]) => {
        const now = MonotonicMs(this.#cluster().now);
        this.#cluster().event(letter, { type: 'setReadonly', now, readonly: on === 'on' });
      },
      resign: ([letter = '']) => {
        const now = MonotonicMs(this.#cluster().now);
        this.#cluster().event(letter, { type: 'resign', now, wakeSuccessor: true });
      },
    };
  }

  #diskCommands(): Record<string, (words: Words) => void> {
    return {
      'slow-disk': ([letter = '']) => {
        this.#cluster().node(letter).diskIsFast = false;
      },
      'fast-disk': ([letter = '']) => {
        this.#cluster().node(letter).diskIsFast = true;
        this.#cluster().flushDisk(letter);
      },
      // flush <letter>: its oldest waiting write becomes durable.
      flush: ([letter = '']) => {
        this.#cluster().flushOne(letter);
      },
      snapshot: ([letter = '']) => {
        saveSnapshot(this.#cluster(), letter);
      },
    };
  }

  #viewCommands(): Record<string, (words: Words) => void> {
    return {
      status: ([letters]) => {
        const cluster = this.#cluster();
        for (const letter of letters ?? [...cluster.nodes.keys()].sort()) {
          this.#lines.push(line(letter, 'status', statusText(cluster.state(letter))));
        }
      },
      // The entries on disk.
      disk: ([letter = '']) => {
        const { entries } = this.#cluster().node(letter).disk;
        this.#lines.push(line(letter, 'disk', entries.map(entryText).join(', ')));
      },
      queue: () => {
        for (const message of this.#cluster().messages) this.#message('queued', message);
      },
    };
  }

  #start(voters: string, options: Words): void {
    const core: { -readonly [Key in keyof CoreOptions]?: CoreOptions[Key] } = {};
    let joining = '';
    for (const option of options) {
      const [name = '', value = ''] = option.split('=');
      if (name === 'joining') joining = value;
      else if (name === 'lease') core.leaderLease = true;
      else Object.assign(core, { [name]: Number(value) });
    }
    this.#group = new CoreCluster(voters, { core, joining: joining.split('').filter(Boolean) });
    this.#group.observer = {
      effect: (letter, effect) => {
        const text = effectText(effect);
        if (text !== undefined) this.#lines.push(line(letter, ...text));
      },
      sent: (message) => {
        this.#numbers.set(message, ++this.#sent);
        this.#message('send', message);
      },
      received: (message) => {
        const from = `${this.#number(message)} < ${letterOf(message.from)}`;
        this.#lines.push(line(letterOf(message.to), 'receive', `${from} ${messageName(message)}`));
      },
      lost: (message) => {
        this.#lost(message);
      },
    };
  }

  #stabilize(letters: string | undefined): void {
    const cluster = this.#cluster();
    const isInside = ({ from, to }: Message): boolean =>
      letters === undefined || [from, to].every((id) => letters.includes(letterOf(id)));
    for (let position = 0; position >= 0; position = cluster.messages.findIndex(isInside)) {
      const [message] = cluster.messages.filter(isInside);
      if (message === undefined) return;
      cluster.messages.splice(cluster.messages.indexOf(message), 1);
      cluster.receive(message);
    }
  }

  #take(words: Words): readonly Message[] {
    const { messages } = this.#cluster();
    const matches = filterOf(words, this.#numbers);
    const taken = messages.filter(matches);
    if (taken.length === 0 && words.length > 0) {
      throw new Error(`no message in the queue matches "${words.join(' ')}"`);
    }
    const left = messages.filter((message) => !matches(message));
    messages.splice(0, messages.length, ...left);
    return taken;
  }

  #lost(message: Message): void {
    this.#message('lost', message);
  }

  #message(what: string, message: Message): void {
    const to = `${this.#number(message)} > ${letterOf(message.to)}`;
    const text = shortPeers(messageText(message));
    this.#lines.push(line(letterOf(message.from), what, `${to} ${text}`));
  }

  #number(message: Message): string {
    return `#${String(this.#numbers.get(message) ?? 0)}`.padEnd(3);
  }

  #cluster(): CoreCluster {
    if (this.#group === undefined) throw new Error('a golden file starts with "group <letters>"');
    return this.#group;
  }
}

/** `#3 #4` picks messages by number; `a>b`, `a>`, `>b` by their ends; a word by its name. */
function filterOf(
  words: Words,
  numbers: Pick<WeakMap<Message, number>, 'get'>,
): (message: Message) => boolean {
  const wanted = words.filter((word) => word.startsWith('#')).map((word) => Number(word.slice(1)));
  const ends = words.find((word) => word.includes('>'))?.split('>') ?? ['', ''];
  const name = words.find((word) => !word.startsWith('#') && !word.includes('>'));
  const [from = '', to = ''] = ends;
  return (message) =>
    (wanted.length === 0 || wanted.includes(numbers.get(message) ?? 0)) &&
    (from === '' || letterOf(message.from) === from) &&
    (to === '' || letterOf(message.to) === to) &&
    (name === undefined || messageName(message) === name);
}

function targetOf(what: string, letters: string): MembershipChange['target'] {
  const id = peer(letters);
  switch (what) {
    case 'add':
      return { type: 'addVoter', peer: id };
    case 'remove':
      return { type: 'removeVoter', peer: id };
    case 'voters':
      return { type: 'changeVoters', voters: new Set(letters.split('').map(peer)) };
    case 'learner':
      return { type: 'addLearner', peer: id };
    case 'unlearn':
      return { type: 'removeLearner', peer: id };
    case 'promote':
      return { type: 'promoteLearner', peer: id };
    default:
      throw new Error(`"${what}" is not a membership change`);
  }
}
