import { Transcript } from './transcript.ts';

const SEPARATOR = '----';

/**
 * A golden file as it ought to be: its blocks of commands, each followed by `----` and by what the
 * commands do now. Blocks are separated by blank lines; lines that start with `#` are comments.
 */
export function rewritten(text: string): string {
  const transcript = new Transcript();
  const blocks = text
    .split(/\n{2,}/)
    .map((block) => block.trim())
    .filter((block) => block !== '');
  return `${blocks.map((block) => rewrittenBlock(transcript, block)).join('\n\n')}\n`;
}

function rewrittenBlock(transcript: Transcript, block: string): string {
  const lines = block.split('\n');
  const end = lines.indexOf(SEPARATOR);
  const script = end === -1 ? lines : lines.slice(0, end);
  const commands = script.filter((command) => !command.startsWith('#'));
  if (commands.length === 0) return script.join('\n');
  const output = commands.flatMap((command) => transcript.run(command));
  return [...script, SEPARATOR, ...output].join('\n');
}
