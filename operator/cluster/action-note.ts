import { claimName } from '../resources/names.ts';
import type { Action, Plan } from './action.ts';

/** What the event about an action says to whoever describes the cluster. */
export function noteOf(name: string, action: Action, operation: Plan['operation']): string {
  if (operation !== undefined) return operation.message;
  switch (action.type) {
    case 'claimFence':
      return 'this operator speaks for the group from now on';
    case 'quarantineClaim':
      return `${claimName(name, action.ordinal)} is set aside: its member was scaled away`;
    case 'releaseClaim':
      return `${claimName(name, action.ordinal)} is in use again`;
    case 'deleteClaim':
      return `${claimName(name, action.ordinal)} was set aside long enough`;
    default:
      return action.type;
  }
}
