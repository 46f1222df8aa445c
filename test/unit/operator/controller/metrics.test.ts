import { describe, expect, it } from '@jest/globals';
import { createControllerMetrics } from '../../../../operator/controller/metrics.ts';

describe('the metrics of a controller process', () => {
  it('have the names and labels of controller-runtime', async () => {
    const metrics = createControllerMetrics();
    const queue = metrics.queue('widgets');
    queue.added(2);
    queue.taken(0.5, 1);
    queue.finished(0.5);
    queue.retried();
    const controller = metrics.controller('widgets');
    controller.started();
    controller.started();
    controller.finished('timeout', 60);
    const reflector = metrics.reflector('widgets');
    reflector.listed();
    reflector.failed();
    reflector.handlerFailed();
    metrics.election('operator').leading(true);
    metrics.events.failed();
    metrics.events.dropped();
    const observe = metrics.requests('10.0.0.1:443');
    observe({ method: 'GET', path: '/' }, 200);
    observe({ method: 'PATCH', path: '/' }, 0);
    const { body } = await metrics.text();
    const lines = body.split('\n');
    const expected = [
      'workqueue_depth{name="widgets"} 1',
      'workqueue_adds_total{name="widgets"} 1',
      'workqueue_queue_duration_seconds_count{name="widgets"} 1',
      'workqueue_work_duration_seconds_sum{name="widgets"} 0.5',
      'workqueue_retries_total{name="widgets"} 1',
      'controller_runtime_active_workers{controller="widgets"} 1',
      'controller_runtime_reconcile_total{controller="widgets",result="timeout"} 1',
      'controller_runtime_reconcile_errors_total{controller="widgets"} 1',
      'controller_runtime_reconcile_time_seconds_sum{controller="widgets"} 60',
      'reflector_lists_total{resource="widgets"} 1',
      'reflector_failures_total{resource="widgets"} 1',
      'reflector_handler_failures_total{resource="widgets"} 1',
      'leader_election_master_status{name="operator"} 1',
      'event_failures_total 1',
      'event_drops_total 1',
      'rest_client_requests_total{code="200",method="GET",host="10.0.0.1:443"} 1',
      'rest_client_requests_total{code="<error>",method="PATCH",host="10.0.0.1:443"} 1',
    ];
    expect(expected.filter((line) => !lines.includes(line))).toEqual([]);
  });

  it('are separate for each process part that makes them', () => {
    expect(() => [createControllerMetrics(), createControllerMetrics()]).not.toThrow();
  });
});
