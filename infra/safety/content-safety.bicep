// An Azure AI Content Safety resource that only identities may ask, and the role by which the gateway's may.
//
// What it is asked about is encrypted at rest with Microsoft's keys and not kept. Put `endpoint` into GATEWAY_CONTENT_SAFETY_ENDPOINT;
// the gateway needs no key.
//
// Source: learn.microsoft.com "Microsoft.CognitiveServices accounts", "Microsoft.Authorization roleAssignments", "Azure built-in
// roles for AI + machine learning" (read 2026-11-22).

targetScope = 'resourceGroup'

@description('Name of the resource, and of its host: it has to be free in all of Azure.')
@minLength(2)
@maxLength(64)
param name string

@description('A region that has Prompt Shields.')
param location string = resourceGroup().location

@description('Object id of the gateway\'s managed identity.')
param principalId string

@description('Whether it can be reached from outside private endpoints.')
@allowed([
  'Disabled'
  'Enabled'
])
param publicNetworkAccess string = 'Disabled'

@description('Name of the tag by which costs are the gateway\'s; every resource of its deployment carries it.')
param tagName string = 'workload'

@description('Value of that tag.')
param tagValue string = 'ai-gateway'

// Cognitive Services User: may ask, and may not read keys or change anything.
var userRole = 'a97b65f3-24c7-4388-baec-2e87135dc908'

resource safety 'Microsoft.CognitiveServices/accounts@2024-10-01' = {
  name: name
  location: location
  kind: 'ContentSafety'
  tags: {
    '${tagName}': tagValue
  }
  sku: {
    name: 'S0'
  }
  properties: {
    customSubDomainName: name
    disableLocalAuth: true
    publicNetworkAccess: publicNetworkAccess
    networkAcls: {
      defaultAction: publicNetworkAccess == 'Enabled' ? 'Allow' : 'Deny'
    }
  }
}

resource mayAsk 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(safety.id, principalId, userRole)
  scope: safety
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', userRole)
  }
}

@description('What to put into GATEWAY_CONTENT_SAFETY_ENDPOINT.')
output endpoint string = safety.properties.endpoint
