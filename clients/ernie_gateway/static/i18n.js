// Both languages of the page. `t("key")` gives the current one.
const words = {
  tasks: ["Tasks", "任务"], ask: ["Ask", "运行"], asking: ["Asking…", "运行中…"], examples: ["Examples", "示例"],
  answer: ["Answer", "结果"], details: ["JSON", "JSON"], drawn: ["Picture", "图示"], request: ["As code", "代码"], file: ["From a file", "批量"],
  compare: ["Compare variants", "对比变体"], compared: ["Variants", "变体对比"], variant: ["Variant", "变体"], prefix: ["Prefix", "前缀"], none: ["none", "无"],
  copy: ["Copy", "复制"], copied: ["Copied", "已复制"], language: ["中文", "English"], retry: ["Try again", "重试"],
  light: ["Light", "浅色"], dark: ["Dark", "深色"], system: ["System", "跟随系统"], theme: ["Theme", "主题"],
  down: ["The gateway does not answer.", "网关没有响应。"], noServer: ["No Triton server answers yet.", "Triton 服务器尚未就绪。"],
  waiting: ["This page asks again every few seconds.", "页面每隔几秒自动重试。"],
  noTasks: ["No task is ready", "没有就绪的任务"], noTasksHow: ["Build some and serve them:", "先构建并启动："],
  keyNeeded: ["This gateway wants an API key.", "此网关需要 API 密钥。"], key: ["API key", "API 密钥"], use: ["Use it", "使用"],
  text: ["Text", "文本"], text_pair: ["Second text", "第二段文本"], question: ["Question", "问题"], context: ["Context", "上下文"],
  query: ["Query", "查询"], candidates: ["Candidates, one a line", "候选，每行一条"], texts: ["Texts, one a line", "文本，每行一条"],
  empty: ["Write something, or take an example. The answer appears here.", "输入文本，或选一个示例，结果会显示在这里。"],
  tokens: ["tokens", "词元"], window: ["window", "窗口"], windows: ["windows", "个窗口"], inModel: ["in the gateway", "网关内"], roundTrip: ["round trip", "往返"],
  truncated: ["The end of the text was cut off.", "文本末尾被截断。"], version: ["version", "版本"],
  noEntities: ["No entities in this text.", "文本中没有实体。"], noSlots: ["no slots", "没有槽位"], noAnswer: ["no answer", "无答案"],
  noLabels: ["No label of the tree fits.", "没有匹配的标签。"], same: ["same answer", "结果相同"], differs: ["another answer", "结果不同"],
  reference: ["the others are compared with this one", "其他变体与此对比"], largest: ["largest difference of a score", "分数最大差异"], span: ["Span", "片段"], label: ["Label", "标签"], score: ["Score", "分数"], place: ["Characters", "位置"],
  value: ["Value", "值"], nearest: ["Nearest pairs", "最相近的句对"], map: ["Map of the vectors (the first two principal components)", "向量分布图（前两个主成分）"],
  dims: ["numbers", "维"], one: ["One text has no map: write a second line.", "至少两行文本才能画图。"], similar: ["alike", "相似"], unlike: ["unlike", "不相似"], opposite: ["opposite", "相反"],
  drop: ["Drop a .csv, .txt or .jsonl file here, or", "将 .csv、.txt 或 .jsonl 文件拖到这里，或"], choose: ["choose one", "选择文件"], column: ["column", "列"],
  run: ["Ask about all", "全部运行"], stop: ["Stop", "停止"], of: ["of", "/"], rows: ["rows", "行"], failed: ["could not be answered", "无法回答"],
  download: ["Download", "下载"], shownFirst: ["The table shows the first", "表格仅显示前"], noRows: ["There is no row in this file.", "文件中没有数据行。"],
  evaluated: ["measured on", "评测于"], other: ["More labels", "其他标签"], close: ["Close", "关闭"], skip: ["Skip to the text", "跳到输入框"], clear: ["Clear", "清空"],
  sequence_classification: ["Classify texts", "文本分类"], pair_classification: ["Classify pairs", "句对分类"], token_classification: ["Find entities", "命名实体识别"],
  question_answering: ["Answer from a text", "阅读理解"], intent_slots: ["Intents and slots", "意图与槽位"], hierarchical_classification: ["Label trees", "层级分类"],
  similarity: ["Similarity", "语义相似度"], embedding: ["Vectors of texts", "句向量"], pair_embedding: ["Vectors of pairs", "句对向量"],
  token_embedding: ["Vectors of tokens", "词元向量"], ranking: ["Ranking", "排序"], fill_mask: ["Fill the mask", "完形填空"],
};

const languages = ["en", "zh"];
let current = localStorage.getItem("language") || (navigator.language.startsWith("zh") ? "zh" : "en");

// What the tasks that ship are called in Chinese; others have one title, in the language of whoever named them.
const titles = {
  tnews: "新闻标题分类，15 类", iflytek: "应用描述分类，119 类", chnsenticorp: "评论情感：酒店、书籍、电脑", cluewsc2020: "代词指的是谁？", sst2: "英文影评情感",
  afqmc: "两个问题意思相同吗？", ocnli: "第二句能由第一句推出吗？", csl: "这些词是摘要的关键词吗？", msra_ner: "命名实体：人名、地名、机构名",
  cmrc2018: "阅读理解：从文中截取答案", drcd: "繁体阅读理解：从文中截取答案", nlpcc2018_slu: "车载语音指令：11 种意图，15 种槽位",
  event_hierarchy: "新闻事件，9 大类 65 小类，可多选", stsb_zh: "两个句子有多相似？", sentence_embedding: "句子的向量", faq_ranking: "哪个问题意思相同？",
  fill_mask: "每个 [MASK] 最可能的词：编码器的预训练任务",
};

export const titleOf = (name) => (current === "zh" ? titles[name] : undefined);
export const language = () => current;
export const t = (name) => words[name]?.[languages.indexOf(current)] ?? name;

export function setLanguage(code) {
  current = code;
  localStorage.setItem("language", code);
  document.documentElement.lang = code === "zh" ? "zh-CN" : "en";
}
setLanguage(current);
