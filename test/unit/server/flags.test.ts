import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from '@jest/globals';
import { UsageError } from '../../../server/config/command-line.ts';
import { parseServerFlags, type ServerOptions } from '../../../server/flags.ts';

const folders: string[] = [];

afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true });
});

function options(...argv: string[]): ServerOptions {
  const parsed = parseServerFlags(argv, '9.9.9');
  if (parsed.type !== 'run') throw new Error(parsed.text);
  return parsed.options;
}

function printed(...argv: string[]): string {
  const parsed = parseServerFlags(argv, '9.9.9');
  if (parsed.type !== 'print') throw new Error('expected help or version');
  return parsed.text;
}

function complaint(...argv: string[]): string {
  try {
    parseServerFlags(argv, '9.9.9');
  } catch (error) {
    if (error instanceof UsageError) return error.message;
    throw error;
  }
  return '';
}

function configFile(content: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'flags-'));
  folders.push(folder);
  const path = join(folder, 'server.yaml');
  writeFileSync(path, content);
  return path;
}

describe('parseServerFlags', () => {
  it("has the seed's defaults", () => {
    expect(options()).toMatchObject({
      port: 8100,
      conf: new Set(),
      groups: [{ name: 'Atomic' }],
      electionTimeoutMs: 5000,
      snapshotInterval: 30,
      disableCli: false,
      checkTerm: true,
      logAppliedTask: false,
      allowAbsentKey: false,
      mapCapacity: 1024,
    });
  });

  it('derives the peer, the listen address and the HTTP port from the port', () => {
    expect(options('--port=8300')).toMatchObject({
      peer: '127.0.0.1:8300:0:0',
      listenAddress: '127.0.0.1',
      httpPort: 8400,
    });
  });

  it.each([
    ['10.0.0.1:8100', '0.0.0.0'],
    ['atomic-0.example:8100', '0.0.0.0'],
    ['[2001:db8::1]:8100', '::'],
    ['[::1]:8100', '::1'],
    ['localhost:8100', '127.0.0.1'],
  ])('listens for the peer %s on %s', (peer, address) => {
    expect(options(`--peer=${peer}`).listenAddress).toBe(address);
  });

  it.each([
    ['-election_timeout_ms=700'],
    ['--election_timeout_ms=700'],
    ['--election-timeout-ms=700'],
    ['--election_timeout_ms', '700'],
    ['-election-timeout-ms', '700'],
  ])('accepts the form %s %s', (...argv) => {
    expect(options(...argv).electionTimeoutMs).toBe(700);
  });

  it.each([
    [['--check_term=false'], false],
    [['-nocheck_term'], false],
    [['--no-check-term'], false],
    [['--no_check_term'], false],
    [['--check_term'], true],
    [['--check_term=1'], true],
    [['--nocheck_term', '--check_term'], true],
  ])('reads %j as a boolean', (argv, value) => {
    expect(options(...argv).checkTerm).toBe(value);
  });

  it('keeps the data of one group in the data path and that of several in folders', () => {
    expect(options('--data_path=/d', '--group=A').groups).toEqual([{ name: 'A', dataPath: '/d' }]);
    expect(options('--data_path=/d', '--group=A', '--group=B').groups).toEqual([
      { name: 'A', dataPath: '/d/A' },
      { name: 'B', dataPath: '/d/B' },
    ]);
  });

  it('takes values from a config file and lets the command line win', () => {
    const path = configFile('port: 8200\nelection-timeout-ms: 300\nconf: [a:1, b:2]\n');
    const parsed = options(`--config=${path}`, '--port=8201');
    expect(parsed.port).toBe(8201);
    expect(parsed.electionTimeoutMs).toBe(300);
    expect([...parsed.conf]).toEqual(['a:1:0:0', 'b:2:0:0']);
  });

  it('explains every flag with its default', () => {
    const help = printed('--help');
    expect(help).toMatch(/--election_timeout_ms <number> .*\(default: +5000\)/s);
    expect(help).toMatch(/--allow_absent_key .*without effect/s);
    expect(help).toContain('Exit codes');
  });

  it('prints the version', () => {
    expect(printed('--version').trim()).toBe('9.9.9');
  });

  it.each([
    [['--port=abc'], '--port: expected a whole number from 1 to 65535, got "abc"; see --help'],
    [['--port=70000'], '--port: expected a whole number from 1 to 65535, got "70000"; see --help'],
    [['--port=1e3'], '--port: expected a whole number from 1 to 65535, got "1e3"; see --help'],
    [['--check_term=maybe'], '--check_term: expected true or false, got "maybe"; see --help'],
    [['--prot=1'], "unknown flag '--prot=1' (Did you mean --port?); see --help"],
    [['--port'], '--port: needs a value, as in --flag=value; see --help'],
    [['--log_level=loud'], 'expected one of info, error, warn, debug, got "loud"'],
    [['--conf=127.0.0.1'], '"127.0.0.1" is not a peer id: expected host:port'],
    [['--conf=a:1,a:1:0'], 'the same peer is listed twice'],
    [['--peer=a:1:0:1'], 'witnesses (role 1) are not supported'],
    [['--conf=a:1:0:1'], 'witnesses are not supported'],
    [['--peer=0.0.0.0:1'], 'is no address others can reach'],
    [['--initial_state=new'], 'a new group needs its voters'],
    [['--initial_state=new', '--conf=a:1'], "does not contain this server's peer id"],
    [['--group=../x'], 'must be 1 to 100 letters'],
    [['--group=A', '--group=A'], 'the same group is named twice'],
    [['--port=65500'], '--http_port: --port + 100 is above 65535'],
    [['--http_port=8100'], '--http_port: must differ from --port'],
    [['--config=/nonexistent/x.yaml'], '--config: cannot read /nonexistent/x.yaml'],
    [['extra'], 'arguments must be flags'],
  ])('refuses %j', (argv, sentence) => {
    expect(complaint(...argv)).toContain(sentence);
  });

  it('names every wrong flag in a line of its own', () => {
    expect(complaint('--port=a', '--log_level=b').split('\n')).toHaveLength(2);
  });

  it.each([
    ['port: [', 'not valid YAML'],
    ['- 1', 'expected lines such as'],
    ['prot: 1', 'unknown flag "prot"'],
    ['config: other.yaml', 'unknown flag "config"'],
    ['port: {a: 1}', 'expected a text, a number, true or false'],
    ['port: abc', 'port: expected a whole number'],
  ])('refuses a config file with %j', (content, sentence) => {
    const path = configFile(content);
    const said = complaint(`--config=${path}`);
    expect(said).toContain(path);
    expect(said).toContain(sentence);
  });
});
