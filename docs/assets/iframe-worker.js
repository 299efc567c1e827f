// Browsers give no workers to pages opened from the disk: there a hidden frame does the search.
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(url) {
      super()
      const frame = document.createElement("iframe")
      frame.hidden = true
      frame.srcdoc = "<body></body>"
      this.inside = new Promise((resolve) => {
        frame.onload = () => {
          const inside = frame.contentWindow
          const answer = (data) => this.dispatchEvent(new MessageEvent("message", { data }))
          inside.postMessage = answer
          const script = inside.document.createElement("script")
          script.src = url
          script.onload = () => resolve(inside)
          inside.document.body.append(script)
        }
      })
      document.body.append(frame)
    }
    postMessage(data) {
      this.inside.then((inside) =>
        inside.dispatchEvent(new inside.MessageEvent("message", { data })))
    }
  }
}
