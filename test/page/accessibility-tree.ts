/** Owns what a screen reader is told of a page. */
import type { Page } from 'playwright-core';

export interface AccessibleNode {
  role: string;
  name: string;
}

/** What a screen reader is told, in its order. */
export async function accessibilityTree(page: Page): Promise<AccessibleNode[]> {
  const session = await page.context().newCDPSession(page);
  const { nodes } = await session.send('Accessibility.getFullAXTree');
  await session.detach();
  return nodes
    .filter(({ ignored }) => !ignored)
    .map(({ role, name }) => ({ role: String(role?.value ?? ''), name: String(name?.value ?? '') }));
}
