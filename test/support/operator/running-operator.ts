import { assembleOperator, type OperatorPorts } from '../../../operator/atomic-operator.ts';
import { createControllerMetrics } from '../../../operator/controller/metrics.ts';
import { recordingLogger } from '../kubernetes/recording-logger.ts';

/** The operator as it is, of all namespaces and without a Lease. */
export class RunningOperator {
  readonly #stop = new AbortController();
  readonly #end: Promise<void>;

  constructor(
    ports: Pick<OperatorPorts, 'api' | 'clock' | 'connect'> & Partial<OperatorPorts>,
    workers = 16,
  ) {
    const { manager, recorder } = assembleOperator(
      {
        ...{ namespace: '', image: { repository: 'registry.example/atomicraft', tag: '1.0.0' } },
        ...{ leaderElect: false, leaseNamespace: 'demo', leaseName: 'operator', healthPort: 0 },
        ...{ workers, maxConcurrentRolls: 1, logLevel: 'info', logFormat: 'json' },
        podName: 'operator',
      },
      { logger: recordingLogger(), metrics: createControllerMetrics(), ...ports },
    );
    this.#end = manager.run(this.#stop.signal).then(() => recorder.flush());
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#end;
  }
}
