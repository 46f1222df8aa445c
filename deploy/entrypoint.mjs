// The one program of the image: its first argument says which part of the product runs.
const PROGRAMS = {
  server: '../dist/server/main.js',
  client: '../dist/client/main.js',
  operator: '../dist/operator/main.js',
};

const [name, ...args] = process.argv.slice(2);
const program = Object.hasOwn(PROGRAMS, name ?? '') ? PROGRAMS[name] : undefined;
if (program === undefined) {
  const names = Object.keys(PROGRAMS).join(', ');
  process.stderr.write(
    `atomicraft: expected one of ${names}, then its flags; got "${name ?? ''}"\n`,
  );
  process.exitCode = 64;
} else {
  process.argv = [process.argv[0], `atomicraft ${name}`, ...args];
  await import(program);
}
