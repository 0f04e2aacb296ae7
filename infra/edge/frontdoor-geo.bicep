// A firewall policy for Front Door: which countries may call, and how often one address may.
//
// Attach it to the endpoint's domains with a security policy of the Front Door profile. Behind it, close the way round:
//
// - GATEWAY_TRUSTED_FRONT_DOOR_ID = the profile's Front Door ID. Front Door sends it in x-azure-fdid with every request, and
//   the gateway believes what stands before it only with that proof; GATEWAY_REQUIRE_FRONT_DOOR=true refuses all others.
// - The id is the proof: treat it as a secret, and let the app's access restrictions admit AzureFrontDoor.Backend only.
// - For GATEWAY_COUNTRIES_DENIED, let a rule of Front Door overwrite GATEWAY_COUNTRY_HEADER with {geo_country}.
//
// The rate limit is coarse: it counts per Front Door server, in windows of minutes, and by address. It is there against
// floods; the gateway's limits are per subscription, and exact.
//
// Source: learn.microsoft.com "Microsoft.Network FrontDoorWebApplicationFirewallPolicies", "Geo-filtering on a domain for Azure
// Front Door", "Rate limiting for Azure Front Door" (read 2026-11-22).

targetScope = 'resourceGroup'

@description('Name of the policy: letters and digits.')
param policyName string = 'aigateway'

@description('Countries that may not call: ISO 3166-1 codes of two letters, and ZZ for addresses of no known country.')
param countriesDenied array = []

@description('Countries that alone may call; empty for all that are not denied.')
param countriesAllowed array = []

@description('Requests per minute from one address after which it is refused for the rest of the minute.')
@minValue(10)
param requestsPerMinute int = 3000

@description('Prevention refuses; Detection only logs, which is how to begin.')
@allowed([
  'Prevention'
  'Detection'
])
param mode string = 'Prevention'

@description('The tier of the Front Door profile; the policy must be of the same.')
@allowed([
  'Standard_AzureFrontDoor'
  'Premium_AzureFrontDoor'
])
param sku string = 'Standard_AzureFrontDoor'

@description('Tags of the policy.')
param tags object = {
  workload: 'ai-gateway'
}

var denied = empty(countriesDenied) ? [] : [
  {
    name: 'CountriesDenied'
    priority: 10
    enabledState: 'Enabled'
    ruleType: 'MatchRule'
    action: 'Block'
    matchConditions: [
      {
        // The address of the connection; RemoteAddr would believe the caller's own x-forwarded-for.
        matchVariable: 'SocketAddr'
        operator: 'GeoMatch'
        negateCondition: false
        matchValue: countriesDenied
      }
    ]
  }
]

var allowed = empty(countriesAllowed) ? [] : [
  {
    name: 'CountriesAllowed'
    priority: 20
    enabledState: 'Enabled'
    ruleType: 'MatchRule'
    action: 'Block'
    matchConditions: [
      {
        matchVariable: 'SocketAddr'
        operator: 'GeoMatch'
        negateCondition: true
        matchValue: countriesAllowed
      }
    ]
  }
]

var flood = [
  {
    name: 'RequestsPerMinute'
    priority: 30
    enabledState: 'Enabled'
    ruleType: 'RateLimitRule'
    rateLimitDurationInMinutes: 1
    rateLimitThreshold: requestsPerMinute
    action: 'Block'
    groupBy: [
      {
        variableName: 'SocketAddr'
      }
    ]
    matchConditions: [
      {
        matchVariable: 'RequestUri'
        operator: 'Contains'
        negateCondition: false
        matchValue: [
          '/'
        ]
      }
    ]
  }
]

resource policy 'Microsoft.Network/FrontDoorWebApplicationFirewallPolicies@2025-03-01' = {
  name: policyName
  location: 'Global'
  tags: tags
  sku: {
    name: sku
  }
  properties: {
    policySettings: {
      enabledState: 'Enabled'
      mode: mode
      // Prompts may hold anything, code and SQL included: rules over bodies would refuse honest calls.
      requestBodyCheck: 'Disabled'
      customBlockResponseStatusCode: 403
    }
    customRules: {
      rules: concat(denied, allowed, flood)
    }
  }
}

@description('The policy, for the security policy of a Front Door profile.')
output policyId string = policy.id
