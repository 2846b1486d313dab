import { RetryBudget } from '../../../../src/router/runtime/admission/retry-budget';

const budgetAfter = (requests: number, millis = 0) => {
  const budget = new RetryBudget();
  Array.from({ length: requests }, () => budget.deposit(millis));
  return budget;
};
/** The retries that there are. */
const retries = (budget: RetryBudget, millis: number) => Array.from({ length: 100 }, () => budget.withdraw(millis)).filter(Boolean).length;

test('twenty requests may be retried, and a fifth of the recent ones besides', () => {
  expect([0, 4, 5, 100].map((requests) => retries(budgetAfter(requests), 0))).toEqual([20, 20, 21, 40]);
});

test('recent is what came in half a minute and in the one before', () => {
  expect([29_999, 30_000, 59_999, 60_000, 3_600_000].map((millis) => retries(budgetAfter(100), millis))).toEqual([40, 40, 40, 20, 20]);
});

test('and so are retries', () => {
  for (const [millis, left] of [[29_999, 0], [59_999, 0], [60_000, 20]]) {
    const budget = new RetryBudget();
    expect([retries(budget, 0), retries(budget, millis)]).toEqual([20, left]);
  }
});
