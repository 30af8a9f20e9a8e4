// Looks at pages of the Web UI as a person would: opens each in Chromium, waits
// until every text can be seen, and takes a picture. What to look at is JSON on
// standard input: [{ "name", "url", "texts": [..], "clicks": [..], "picture", "height" }].
// Exit status 1 and a line for each text that never showed.
import { readFileSync } from "node:fs";
import { chromium } from "playwright-core";

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--no-first-run"],
});
let missing = 0;
for (const page of JSON.parse(readFileSync(0, "utf8"))) {
  const tab = await browser.newPage({ viewport: { width: 1400, height: page.height ?? 900 } });
  await tab.goto(page.url, { waitUntil: "domcontentloaded" });
  for (const text of page.clicks ?? []) {
    await tab.getByText(text, { exact: true }).first().click({ timeout: 30000 });
  }
  for (const text of page.texts) {
    // A label in the timeline's drawing is seen, though it is cut at its bar's end.
    await tab.getByText(text).first().waitFor({ state: "attached", timeout: 30000 }).catch(() => {
      missing++;
      console.log(`${page.name}: "${text}" is not on ${tab.url()}`);
    });
  }
  if (page.picture) {
    await tab.waitForTimeout(1500); // the timeline draws itself with an animation
    await tab.screenshot({ path: page.picture });
  }
  await tab.close();
}
await browser.close();
process.exit(missing ? 1 : 0);
