import js from '@eslint/js';
import { defineConfig, globalIgnores } from 'eslint/config';
import tseslint from 'typescript-eslint';
import { testFunctions } from './scripts/eslint-test-functions.js';

const TYPESCRIPT = ['**/*.ts'];
const PLAIN_JAVASCRIPT = ['**/*.{js,mjs,cjs}'];
const SIZE = { skipBlankLines: true, skipComments: true };

/** Ways to time and chance that would make a run impossible to repeat. */
const AMBIENT_TIME = [
  { object: 'Math', property: 'random', message: 'Chance comes from a seeded Prng.' },
  { object: 'performance', property: 'now', message: 'Time comes from the Clock port.' },
  { object: 'process', property: 'hrtime', message: 'Time comes from the Clock port.' },
];
const AMBIENT = [
  ...['Date', 'performance', 'process', 'Buffer', 'fetch', 'crypto'],
  ...['setTimeout', 'setInterval', 'setImmediate', 'queueMicrotask'],
];
const forbid = (names, message) => names.map((name) => ({ name, message }));

const NO_DEFAULT_EXPORT = {
  selector: 'ExportDefaultDeclaration',
  message: 'Named exports only: one name for one thing everywhere.',
};
const NO_DEFAULT_REEXPORT = {
  selector: 'ExportSpecifier[exported.name="default"]',
  message: 'Named exports only: one name for one thing everywhere.',
};
export default defineConfig(
  globalIgnores([
    'node_modules/',
    'dist/',
    'runtime/',
    'coverage/',
    '.cache/',
    'proto/gen/',
    'proto/.gen-*/',
  ]),
  { linterOptions: { reportUnusedDisableDirectives: 'error' } },
  js.configs.recommended,
  {
    files: TYPESCRIPT,
    extends: [tseslint.configs.strictTypeChecked],
    languageOptions: {
      parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname },
    },
    rules: {
      '@typescript-eslint/consistent-type-imports': [
        'error',
        { fixStyle: 'separate-type-imports' },
      ],
      '@typescript-eslint/consistent-type-exports': 'error',
      '@typescript-eslint/consistent-type-definitions': 'off',
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_' }],
      '@typescript-eslint/restrict-template-expressions': [
        'error',
        { allowNumber: true, allowBoolean: true },
      ],
      '@typescript-eslint/no-confusing-void-expression': [
        'error',
        { ignoreVoidReturningFunctions: true },
      ],
      '@typescript-eslint/switch-exhaustiveness-check': [
        'error',
        { considerDefaultExhaustiveForUnions: true },
      ],
      'no-undef': 'off',
      'no-restricted-syntax': ['error', NO_DEFAULT_EXPORT, NO_DEFAULT_REEXPORT],
    },
  },
  {
    files: [...TYPESCRIPT, ...PLAIN_JAVASCRIPT],
    rules: {
      complexity: ['error', 12],
      eqeqeq: 'error',
      'max-depth': ['error', 3],
      'max-lines': ['error', { max: 500, ...SIZE }],
      'max-lines-per-function': ['error', { max: 70, ...SIZE }],
      'max-params': ['error', 4],
      'no-console': 'off',
      'no-empty': ['error', { allowEmptyCatch: false }],
      'prefer-const': 'error',
    },
  },
  {
    files: ['server/raft/**/*.ts'],
    rules: {
      'no-restricted-globals': ['error', ...forbid(['Date'], 'The protocol knows no wall clock.')],
    },
  },
  {
    files: ['server/raft/**/*.ts'],
    ignores: ['server/raft/node/clock.ts'],
    rules: {
      'no-restricted-globals': [
        'error',
        ...forbid(['Date', 'setTimeout', 'setInterval'], 'Time goes through the Clock port.'),
      ],
      'no-restricted-properties': ['error', ...AMBIENT_TIME],
    },
  },
  {
    files: ['server/raft/core/**/*.ts'],
    rules: {
      'no-restricted-globals': [
        'error',
        ...forbid(AMBIENT, 'The core takes nothing from around it: it enters as an event.'),
      ],
    },
  },
  {
    files: ['test/**/*.ts'],
    plugins: { test: testFunctions },
    rules: {
      'max-lines-per-function': 'off',
      'test/max-lines-per-function': ['error', { max: 70, ...SIZE }],
    },
  },
  {
    files: PLAIN_JAVASCRIPT,
    languageOptions: { globals: { console: 'readonly', process: 'readonly', module: 'writable' } },
  },
);
