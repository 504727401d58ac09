import { type Drift, type Effect, somebodyElse } from '../reconciler.ts'
import type { ServicesAction, UpdateService } from './actions.ts'

export function effectOfServices(action: ServicesAction): Effect {
  const { kind } = action
  switch (kind) {
    case 'createService':
      return {
        kind,
        disruptive: false,
        drift: {
          kinds: ['service'],
          counts: 'ifHadService',
          messages: [`${somebodyElse} removed the service ${action.name}; created again`],
        },
        event: { reason: 'ServiceCreated', message: `created the service ${action.name}` },
      }
    case 'updateService':
      return { kind, disruptive: true, ...updateDrift(action), ...updateEvent(action) }
    case 'removeService':
      return { kind, disruptive: true, event: { reason: 'ServiceRemoved', message: `removed the service ${action.name}` } }
    case 'createConfig':
    case 'createSecret':
    case 'updateConfigLabels':
    case 'removeConfig':
    case 'removeSecret':
    case 'takeLease':
    case 'askHolder':
      return { kind, disruptive: false }
    default:
      return kind satisfies never
  }
}

/** Updating the surroundings restarts nothing, so it records no event. */
function updateEvent({ touches, name, why }: UpdateService): Pick<Effect, 'event'> {
  return touches === 'template' ? { event: { reason: 'ServiceUpdated', message: `updated the service ${name}: ${why}` } } : {}
}

/** Maximum characters in one event. */
const longestFields = 1_000

function updateDrift({ name, corrects, changed = [] }: UpdateService): { readonly drift?: Drift } {
  if (corrects.length === 0) return {}
  const fields = changed.length === 0 ? corrects.slice(0, 1) : changed
  const message = `${somebodyElse} changed the service ${name} (${fields.join(', ').slice(0, longestFields)}); restored`
  return { drift: { kinds: corrects, counts: 'always', messages: [message] } }
}
