// The page that draws with ONNX Runtime in a real browser. Run by test_browser_page.py:
//
//   node page.mjs '{"url": …, "chromium": …, "playwright": …, "shots": …}'
//
// Every wait is for something that a user would see; what it saw goes to standard output as JSON.

import { join } from "node:path";
import { pathToFileURL } from "node:url";

const task = JSON.parse(process.argv[2]);
const { chromium } = await import(pathToFileURL(join(task.playwright, "index.mjs")).href);

const browser = await chromium.launch({
  executablePath: task.chromium,
  args: [
    "--no-sandbox",
    "--disable-gpu",
    "--no-proxy-server",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
  ],
});
const page = await browser.newPage();
page.setDefaultTimeout(120_000);
const problems = [];
page.on("pageerror", (error) => problems.push(error.message));

const state = (name) => page.waitForSelector(`#status[data-state="${name}"]`);
const frames = async () => Number(await page.getAttribute("#status", "data-frames"));
const framesAbove = (least) =>
  page.waitForFunction(
    (count) => Number(document.getElementById("status").dataset.frames ?? 0) > count,
    least,
  );

const seen = {};
try {
  await page.goto(`${task.url}?ort=ort/&side=96`);
  await state("ready");

  await page.evaluate(async () => {
    const bytes = await (await fetch("photo.png")).blob();
    const carried = new DataTransfer();
    carried.items.add(new File([bytes], "photo.png", { type: "image/png" }));
    document.dispatchEvent(new DragEvent("drop", { dataTransfer: carried, bubbles: true }));
  });
  await state("done");
  seen.photo = await page.$eval("#result", (canvas) => canvas.toDataURL());
  seen.status = await page.textContent("#status");

  await page.fill("#strength", "0");
  await framesAbove(1);
  seen.asItWas = await page.$eval("#result", (canvas) => canvas.toDataURL());
  await page.fill("#strength", "1");
  await framesAbove(2);
  await page.screenshot({ path: join(task.shots, "page.png") });

  const before = await frames();
  await page.click("#camera");
  await framesAbove(before + 2);
  seen.camera = await page.$eval("#result", ({ width, height }) => [width, height]);
  await page.click("#camera");

  await page.setInputFiles("#file", { name: "torn.png", mimeType: "image/png", buffer: Buffer.from("no") });
  await state("problem");
  seen.torn = await page.textContent("#status");

  await page.goto(`${task.url}?ort=nowhere/`);
  await state("problem");
  seen.noRuntime = await page.textContent("#status");
  await page.goto(`${task.url}?ort=ort/&model=nowhere.onnx`);
  await state("waiting");
  seen.problems = problems.filter((message) => !message.includes("nowhere"));
  process.stdout.write(JSON.stringify(seen));
} catch (error) {
  await page.screenshot({ path: join(task.shots, "page_failed.png") });
  process.stderr.write(`${error.stack}\n${problems.join("\n")}\n`);
  process.exitCode = 1;
} finally {
  await browser.close();
}
