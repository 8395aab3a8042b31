// The player and the time line under it: one follows the other.
(() => {
  const player = () => [...document.querySelectorAll("video")].find((video) => video.offsetParent && video.duration);
  const mark = (seconds) => {
    for (const track of document.querySelectorAll(".cslr-track")) {
      const begin = Number(track.dataset.begin), end = Number(track.dataset.end);
      const share = Math.min(1, Math.max(0, (seconds - begin) / (end - begin)));
      track.querySelector(".cslr-playhead").style.left = `${100 * share}%`;
    }
    for (const element of document.querySelectorAll(".cslr-answer [data-start]")) {
      const inside = seconds >= Number(element.dataset.start) && seconds < Number(element.dataset.end);
      element.classList.toggle("cslr-now", inside);
    }
  };
  for (const name of ["timeupdate", "seeked"]) {
    document.addEventListener(name, (event) => mark(event.target.currentTime), true);
  }
  document.addEventListener("click", (event) => {
    const element = event.target.closest?.(".cslr-answer [data-start]");
    const video = element && player();
    if (!video) return;
    video.currentTime = Number(element.dataset.start);
    mark(video.currentTime);
  });
})();
