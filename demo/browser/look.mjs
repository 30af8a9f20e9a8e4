// Looks at pages of the Web UI as a person would: opens each in Chromium, waits
// until every text can be seen, and takes a picture. What to look at is JSON on
// standard input: [{ "name", "url", "texts": [..], "clicks": [..], "picture", "height" }].
// Exit status 1 and a line for each text that never showed.
import { readFileSync } from "node:fs";
import { chromium } from "playwright-core";

// shows waits for a text. What a workflow says of itself (its current details) is
// Markdown in a frame of its own, which loads when it likes.
async function shows(tab, text) {
  for (let tries = 0; tries < 150; tries++) {
    for (const frame of tab.frames()) {
      if ((await frame.getByText(text).count().catch(() => 0)) > 0) return true;
    }
    await tab.waitForTimeout(200);
  }
  return false;
}

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
    if (!(await shows(tab, text))) {
      missing++;
      console.log(`${page.name}: "${text}" is not on ${tab.url()}`);
    }
  }
  if (page.picture) {
    await tab.waitForTimeout(1500); // the timeline draws itself with an animation
    await tab.screenshot({ path: page.picture });
  }
  await tab.close();
}
await browser.close();
process.exit(missing ? 1 : 0);
