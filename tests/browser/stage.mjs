// A page of a real host in a real browser, and what a user does on it. The task comes as JSON:
//
//   {"url": …, "chromium": …, "playwright": …, "renderer": …, "shots": …}
//
// Every wait is for something that a user would see.

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const PATIENCE_MS = 120_000;

/** A browser with one page on the host. `problems` gathers what its console says. */
export class Stage {
  problems = [];

  constructor(task) {
    this.task = task;
  }

  async start() {
    const { chromium } = await import(pathToFileURL(join(this.task.playwright, "index.mjs")).href);
    this.browser = await chromium.launch({
      executablePath: this.task.chromium,
      args: ["--no-sandbox", "--disable-gpu", "--no-proxy-server", "--disable-renderer-backgrounding"],
    });
    this.page = await this.newPage();
    await this.page.evaluate(
      (vue) => window.app.extensionManager.setting.set("Comfy.VueNodes.Enabled", vue),
      this.task.renderer === "vue",
    );
  }

  /** Another window on the same host. */
  async newPage() {
    const page = await this.browser.newPage({
      viewport: { width: 1400, height: 880 },
      deviceScaleFactor: 1.4,
    });
    page.setDefaultTimeout(PATIENCE_MS);
    page.on("pageerror", (error) => this.problems.push(`${error.message}\n${error.stack}`));
    page.on("console", (message) => {
      if (message.type() === "error") this.problems.push(`${message.text()}\n${message.location().url}`);
    });
    await page.goto(this.task.url);
    await this.ready(page);
    return page;
  }

  async ready(page = this.page) {
    await page.waitForFunction(
      () => window.app?.extensionManager?.workflow?.activeWorkflow && window.app.graph?.nodes?.length,
    );
  }

  /** Open a workflow file in a tab of its own and wait until the page has it. */
  async load(file, name) {
    const workflow = JSON.parse(await readFile(file, "utf8"));
    await this.loadGraph(workflow, name);
  }

  async loadGraph(workflow, name) {
    await this.page.evaluate(
      async ([graph, title]) => window.app.loadGraphData(graph, true, true, title),
      [workflow, name],
    );
    await this.page.waitForFunction(
      (types) => types.every((type) => window.app.graph.nodes.some((node) => node.type === type)),
      workflow.nodes.map((node) => node.type),
    );
  }

  async fitView() {
    await this.page.evaluate(() => {
      window.app.canvas.deselectAll(); // or only what is selected is fitted
      window.app.extensionManager.command.execute("Comfy.Canvas.FitView");
    });
  }

  /** Press Run and wait for the end of the prompt; `during` happens meanwhile. */
  async run(during = async () => {}) {
    await this.pressRun();
    await during();
    const [end, message] = await this.page.evaluate(() => window.ended);
    if (end !== "execution_success") throw new Error(`The run ended with ${end}: ${message}`);
  }

  /** Press Run; `window.ended` is a promise of how the prompt ends. */
  async pressRun() {
    await this.page.evaluate(() => {
      window.ended = new Promise((resolve) => {
        for (const end of ["execution_success", "execution_error", "execution_interrupted"]) {
          const tell = ({ detail }) => resolve([end, detail?.exception_message ?? ""]);
          window.comfyAPI.api.api.addEventListener(end, tell, { once: true });
        }
      });
    });
    const button = this.page
      .getByRole("button", { name: "Run", exact: true })
      .or(this.page.getByTestId("queue-button"));
    await button.first().click();
  }

  /** Set a widget of the first node of a type, as a user would. */
  async set(type, name, value) {
    await this.page.evaluate(
      ([wanted, widgetName, next]) => {
        const node = window.app.graph.nodes.find((each) => each.type === wanted);
        const widget = node.widgets.find((each) => each.name === widgetName);
        widget.value = next;
        widget.callback?.(next);
      },
      [type, name, value],
    );
  }

  /** Send a prompt past the page, as a script or another window does, and wait for its end. */
  async queue(prompt) {
    const answer = await this.ask("/prompt", { prompt });
    const done = async () => (await this.ask(`/history/${answer.prompt_id}`))[answer.prompt_id];
    while (!(await done())) await new Promise((resolve) => setTimeout(resolve, 200));
  }

  /** The server's answer: GET, or POST when there is a body. */
  async ask(route, body) {
    const headers = { "Content-Type": "application/json" };
    const options = body && { method: "POST", headers, body: JSON.stringify(body) };
    const response = await fetch(new URL(route, this.task.url), options);
    return response.json();
  }

  async shot(name, page = this.page) {
    const path = join(this.task.shots, `${this.task.renderer}-${name}.jpg`);
    await page.screenshot({ path, type: "jpeg", quality: 80 });
  }

  async stop() {
    await this.browser?.close();
  }
}
