// A monthly budget over all that carries the gateway's tag, and an action group that is told at 50, 80 and 100 % of it.
//
// It looks at Azure's bill, a day or so late, and stops nothing. The gateway's own budgets (`budget_usd`) are counted call by
// call and refuse; this is the second pair of eyes, and sees what no call pays for: provisioned units, storage, the plan.
//
// Source: learn.microsoft.com "Microsoft.Consumption budgets", "Microsoft.Insights actionGroups" (read 2026-11-22).

targetScope = 'resourceGroup'

@description('What may be spent in a month, in the currency of the billing account.')
@minValue(1)
param amount int

@description('The first day of a month, such as 2026-12-01T00:00:00Z. Keep it when you deploy again: it is the budget\'s own.')
param startDate string

@description('Who is told by e-mail.')
param emails array = []

@description('Who is told by a webhook: an https address that takes the common alert schema. Empty for nobody.')
@secure()
param webhook string = ''

@description('Name of the tag by which costs are the gateway\'s; every resource of its deployment carries it.')
param tagName string = 'workload'

@description('Value of that tag.')
param tagValue string = 'ai-gateway'

@description('Name of the budget.')
param budgetName string = 'ai-gateway'

var notice = {
  enabled: true
  operator: 'GreaterThanOrEqualTo'
  thresholdType: 'Actual'
  contactGroups: [
    told.id
  ]
}

resource told 'Microsoft.Insights/actionGroups@2023-01-01' = {
  name: '${budgetName}-budget'
  location: 'global'
  tags: {
    '${tagName}': tagValue
  }
  properties: {
    enabled: true
    groupShortName: 'gw-budget'
    emailReceivers: [for (email, index) in emails: {
      name: 'email-${index}'
      emailAddress: email
      useCommonAlertSchema: true
    }]
    webhookReceivers: empty(webhook) ? [] : [
      {
        name: 'webhook'
        serviceUri: webhook
        useCommonAlertSchema: true
      }
    ]
  }
}

resource budget 'Microsoft.Consumption/budgets@2024-08-01' = {
  name: budgetName
  properties: {
    category: 'Cost'
    amount: amount
    timeGrain: 'Monthly'
    timePeriod: {
      startDate: startDate
    }
    filter: {
      tags: {
        name: tagName
        operator: 'In'
        values: [
          tagValue
        ]
      }
    }
    notifications: {
      actual50: union(notice, { threshold: 50 })
      actual80: union(notice, { threshold: 80 })
      actual100: union(notice, { threshold: 100 })
    }
  }
}

@description('The action group, for other alerts of the gateway.')
output actionGroupId string = told.id
