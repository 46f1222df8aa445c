import { env } from 'node:process';

const resultsFile = env['JEST_RESULTS_FILE'];

/** @type {import('jest').Config} */
export default {
  testEnvironment: 'node',
  testMatch: ['<rootDir>/test/**/*.test.ts'],
  // They need a machine of their own: npm run test:cluster.
  testPathIgnorePatterns: ['/node_modules/', '<rootDir>/test/cluster/'],
  extensionsToTreatAsEsm: ['.ts'],
  transform: {
    '\\.ts$': [
      '@swc/jest',
      {
        jsc: {
          parser: { syntax: 'typescript', explicitResourceManagement: true },
          target: 'es2022',
        },
        module: { type: 'es6' },
        sourceMaps: 'inline',
      },
    ],
  },
  modulePathIgnorePatterns: ['<rootDir>/dist/', '<rootDir>/runtime/', '<rootDir>/.cache/'],
  maxWorkers: 2,
  testTimeout: 60_000,
  reporters: [
    'default',
    ...(resultsFile === undefined
      ? []
      : [['<rootDir>/scripts/json-reporter.mjs', { file: resultsFile }]]),
  ],
};
