import type { VmName } from '../../api/names.ts'
import type { OrderProgress, PrepareStatus } from '../../api/wire/agent-api.ts'
import type { MarkedOrder } from '../../api/wire/unchanged.ts'
import type { Agent } from '../../ports/agents.ts'
import { PortError } from '../../ports/errors.ts'
import { type Answer, answerOf } from '../shared/answers.ts'

/** The answer to each order that was sent, kept for the observation that follows, which would get the same answer. */
export type OrderAnswers = Map<VmName, { readonly order: MarkedOrder; readonly answer: Answer<PrepareStatus> }>

/** Learns a node's progress on an order without sending it. An agent goes on with an order that it has accepted when it is asked. */
export type AskProgress = (agent: Agent, order: MarkedOrder, signal: AbortSignal) => Promise<Answer<OrderProgress>>

/** Uses the answer to the order if it was sent in the previous run. Call once per observation. */
export function askProgress(answers: OrderAnswers, vm: VmName): AskProgress {
  const sent = answers.get(vm)
  answers.delete(vm)
  return async (agent, order, signal) => (sent?.order.mark === order.mark ? sent.answer : unlessRejected(progressOf(agent, order, signal)))
}

/** An agent of release 0.1 reports its progress only when it gets the order again. */
async function progressOf(agent: Agent, order: MarkedOrder, signal: AbortSignal): Promise<OrderProgress> {
  return (await agent.progress({ uid: order.uid, order: order.mark }, signal)) ?? agent.prepare(order, signal)
}

/** As `answerOf`, but a rejected order is an answer too, so that the record is still updated. */
export async function unlessRejected<T>(question: Promise<T>): Promise<Answer<T | PrepareStatus>> {
  return answerOf<T | PrepareStatus>(question.catch(rejection))
}

function rejection(error: unknown): PrepareStatus {
  if (!(error instanceof PortError) || (error.kind !== 'Invalid' && error.kind !== 'Denied')) throw error
  return { state: 'failed', reason: error.kind === 'Invalid' ? 'Refused' : 'Denied', message: error.message }
}
