"""Word banks, English and Chinese. Every sixth entry of a bank is held out for measuring (see `draw`)."""

# ruff: noqa: E501 - a bank reads best with one entry a line

from __future__ import annotations

from typing import Literal

Language = Literal["en", "zh"]
Pair = tuple[str, str]
"""English and Chinese."""


def pairs(text: str) -> tuple[Pair, ...]:
    """ "a b=甲; c=乙" as (("a b", "甲"), ("c", "乙"))."""
    return tuple((en.strip(), zh.strip()) for en, zh in (item.split("=") for item in text.split(";")))


# What generic tools are about.
TOPICS = pairs(
    "weather=天气; ferry schedule=渡轮时刻; invoice=发票; train ticket=火车票; recipe=菜谱; parking spot=停车位; "
    "exchange rate=汇率; hotel room=酒店房间; movie=电影; library book=图书; delivery status=配送状态; tax rate=税率; "
    "stock price=股价; traffic report=路况; air quality=空气质量; sunrise time=日出时间; tide table=潮汐表; "
    "song lyrics=歌词; football score=足球比分; bus route=公交路线; flight status=航班状态; meeting=会议; reminder=提醒; "
    "alarm=闹钟; shopping list=购物清单; calendar event=日历事件; support ticket=工单; customer profile=客户资料; "
    "order=订单; refund=退款; coupon=优惠券; playlist=歌单; photo album=相册; document=文档; report=报告; backup=备份; "
    "database record=数据库记录; user account=用户账号; password=密码; server status=服务器状态; log file=日志文件; "
    "container=容器; branch=分支; pull request=合并请求; unit test=单元测试; sensor reading=传感器读数; battery level=电量; "
    "light=灯; thermostat=恒温器; door lock=门锁; washing machine=洗衣机; robot arm=机械臂; drone=无人机; camera=摄像头; "
    "heart rate=心率; blood pressure=血压; calorie count=热量; workout plan=健身计划; medication=药物; doctor appointment=就诊预约; "
    "loan=贷款; mortgage payment=房贷; bank balance=银行余额; transaction=交易记录; salary=工资; insurance quote=保险报价; "
    "visa application=签证申请; holiday=假期; time zone=时区; currency=货币; postal code=邮政编码; phone number=电话号码; "
    "address=地址; map=地图; distance=距离; route=路线; restaurant=餐厅; table=餐桌; pizza=披萨; coffee=咖啡; grocery=杂货; "
    "gift card=礼品卡; package=包裹; shipment=货物; warehouse stock=库存; product=产品; product review=商品评价; newsletter=简报; "
    "news headline=新闻标题; blog post=博客文章; comment=评论; survey=问卷; poll=投票; quiz=测验; lesson=课程; homework=作业; "
    "student grade=学生成绩; exam date=考试日期; dictionary entry=词条; synonym=同义词; translation=译文; spelling=拼写; "
    "poem=诗; joke=笑话; riddle=谜语; horoscope=星座运势; lottery number=彩票号码; chess move=棋步; game level=游戏关卡; "
    "crypto price=币价; gold price=金价; fuel price=油价; electricity bill=电费; water usage=用水量; phone plan=话费套餐; "
    "museum ticket=博物馆门票; concert=音乐会; theater seat=剧院座位; sports event=体育赛事; gym class=健身课; haircut=理发; "
    "taxi=出租车; rental car=租车; bicycle=自行车; scooter=滑板车; charging station=充电站; elevator=电梯; printer=打印机; "
    "projector=投影仪; conference room=会议室; desk=工位; visitor badge=访客证; contract=合同; signature=签名; budget=预算; "
    "expense=开支; project=项目; task=任务; milestone=里程碑; bug=缺陷; deployment=部署; certificate=证书; domain=域名; "
    "pet=宠物; plant=植物; garden=花园; fish tank=鱼缸; moon phase=月相; earthquake=地震; pollen level=花粉指数; uv index=紫外线指数; "
    "wind speed=风速; snow depth=积雪深度; river level=水位; ski pass=滑雪票; campsite=营地; wedding=婚礼; birthday=生日"
)

# Single words that topics of generic tools are made of, alone or two by two.
NOUNS = pairs(
    "river=河流; bridge=桥梁; harbor=港口; island=岛屿; valley=山谷; forest=森林; desert=沙漠; village=村庄; castle=城堡; tower=塔楼; "
    "market=市场; factory=工厂; office=办公室; school=学校; hospital=医院; library=图书馆; theater=剧院; stadium=体育场; museum=博物馆; hotel=酒店; "
    "kitchen=厨房; bedroom=卧室; garage=车库; roof=屋顶; window=窗户; mirror=镜子; carpet=地毯; pillow=枕头; blanket=毯子; candle=蜡烛; "
    "kettle=水壶; bottle=瓶子; basket=篮子; bucket=水桶; ladder=梯子; hammer=锤子; engine=引擎; motor=马达; pump=水泵; valve=阀门; "
    "ferry=渡轮; tractor=拖拉机; rocket=火箭; satellite=卫星; helmet=头盔; jacket=夹克; glove=手套; button=按钮; zipper=拉链; pocket=口袋; "
    "ticket=票据; voucher=凭证; invoice=账单; receipt=收据; permit=许可; license=执照; policy=政策; claim=索赔; tax=税款; bonus=奖金; "
    "salary=薪水; pension=养老金; rent=租金; deposit=押金; credit=信用; debt=债务; asset=资产; stock=库存; bond=债券; fund=基金; "
    "parcel=包裹; pallet=托盘; cargo=货物; order=订单; supplier=供应商; vendor=商家; client=客户; tenant=租户; member=会员; guest=客人; "
    "teacher=教师; student=学生; doctor=医生; patient=病人; nurse=护士; driver=司机; pilot=飞行员; farmer=农民; author=作者; artist=艺术家; "
    "song=歌曲; album=专辑; concert=演唱会; movie=影片; poster=海报; picture=图片; video=视频; camera=相机; lens=镜头; radio=收音机; "
    "sensor=感应器; signal=信号; battery=电池; cable=电缆; antenna=天线; router=路由器; server=服务器; cluster=集群; database=数据库; backup=备份; "
    "folder=文件夹; archive=档案; report=报告; chart=图表; table=表格; memo=备忘录; letter=信件; article=文章; chapter=章节; novel=小说; "
    "recipe=菜谱; dessert=甜点; breakfast=早餐; lunch=午餐; dinner=晚餐; snack=零食; coffee=咖啡; juice=果汁; butter=黄油; sugar=白糖; "
    "flour=面粉; pepper=胡椒; onion=洋葱; potato=土豆; tomato=番茄; carrot=胡萝卜; orange=橙子; lemon=柠檬; banana=香蕉; peach=桃子; "
    "flower=花朵; tulip=郁金香; maple=枫树; bamboo=竹林; seed=种子; harvest=收成; soil=土壤; storm=风暴; flood=洪水; drought=干旱; "
    "rainfall=降雨; humidity=湿度; pressure=气压; climate=气候; tide=潮汐; season=季节; current=洋流; volcano=火山; glacier=冰川; mineral=矿物; "
    "planet=行星; comet=彗星; galaxy=星系; telescope=望远镜; atom=原子; laser=激光; crystal=晶体; vaccine=疫苗; virus=病毒; protein=蛋白质; "
    "muscle=肌肉; kidney=肾脏; allergy=过敏; therapy=疗法; surgery=手术; clinic=诊所; pharmacy=药房; gym=健身房; yoga=瑜伽; marathon=马拉松; "
    "soccer=足球; tennis=网球; hockey=曲棍球; league=联赛; player=球员; coach=教练; referee=裁判; trophy=奖杯; medal=奖牌; record=纪录; "
    "travel=旅行; luggage=行李; passport=护照; airport=机场; runway=跑道; station=车站; platform=站台; tunnel=隧道; highway=公路; parking=停车场; "
    "pigeon=鸽子; eagle=老鹰; salmon=三文鱼; shark=鲨鱼; whale=鲸鱼; sheep=绵羊; donkey=驴子; camel=骆驼; beetle=甲虫; spider=蜘蛛; "
    "puzzle=拼图; lottery=彩票; quiz=测验; survey=问卷; contest=竞赛; festival=节日; wedding=婚礼; birthday=生日; holiday=假期; vacation=休假; "
    "meeting=会议; agenda=议程; schedule=日程; deadline=期限; budget=预算; project=项目; sprint=冲刺; release=版本; branch=分支; commit=提交; "
    "password=密码; token=令牌; profile=资料; session=会话; avatar=头像; comment=评论; message=消息; channel=频道; playlist=歌单; podcast=播客; "
    "contract=合同; lawyer=律师; court=法院; verdict=判决; election=选举; mayor=市长; embassy=大使馆; border=边境; army=军队; treaty=条约"
)

# Verbs of tools that look something up, and of tools that do something.
LOOKUP_VERBS = pairs("get=查询; find=查找; fetch=获取; check=查看; look up=查; show=显示; read=读取; list=列出")
ACTION_VERBS = pairs(
    "create=创建; book=预订; order=订购; send=发送; cancel=取消; delete=删除; update=更新; schedule=安排; reserve=预留; "
    "add=添加; start=启动; stop=停止; open=打开; close=关闭; print=打印; share=分享; rename=重命名; archive=归档; "
    "move=移动; copy=复制; approve=批准; reject=拒绝; assign=分配; publish=发布; export=导出; import=导入; reset=重置; register=登记"
)

CITIES = pairs(
    "Paris=巴黎; London=伦敦; Tokyo=东京; Beijing=北京; New York=纽约; Oslo=奥斯陆; Berlin=柏林; Shanghai=上海; Madrid=马德里; "
    "Rome=罗马; San Francisco=旧金山; Lisbon=里斯本; Shenzhen=深圳; Sydney=悉尼; Cairo=开罗; Moscow=莫斯科; Boston=波士顿; "
    "Vienna=维也纳; Guangzhou=广州; Dublin=都柏林; Seoul=首尔; Toronto=多伦多; Hangzhou=杭州; Chicago=芝加哥; Prague=布拉格; "
    "Los Angeles=洛杉矶; Singapore=新加坡; Chengdu=成都; Mumbai=孟买; Athens=雅典; Wuhan=武汉; Munich=慕尼黑; Xi'an=西安; "
    "Nanjing=南京; Bangkok=曼谷; Zurich=苏黎世; Hong Kong=香港; Dubai=迪拜; Milan=米兰; Tianjin=天津; Amsterdam=阿姆斯特丹; "
    "Stockholm=斯德哥尔摩; Suzhou=苏州; Barcelona=巴塞罗那; Helsinki=赫尔辛基; Chongqing=重庆; Seattle=西雅图; Qingdao=青岛; "
    "Brussels=布鲁塞尔; Lima=利马; Nairobi=内罗毕; Xiamen=厦门; Warsaw=华沙; Delhi=德里; Kunming=昆明; Osaka=大阪; Harbin=哈尔滨; "
    "Copenhagen=哥本哈根; Mexico City=墨西哥城; Budapest=布达佩斯; Taipei=台北; Miami=迈阿密; Dalian=大连; Jakarta=雅加达; "
    "Istanbul=伊斯坦布尔; Denver=丹佛; Changsha=长沙; Geneva=日内瓦; Melbourne=墨尔本; Zhengzhou=郑州; Porto=波尔图; Jinan=济南"
)

PEOPLE = pairs(
    "Alice=小红; Bob=小明; Carol=王芳; David=李雷; Emma=韩梅梅; Frank=张伟; Grace=刘洋; Henry=陈静; Ivy=赵磊; Jack=孙丽; "
    "Kate=周杰; Leo=吴敏; Mia=郑强; Noah=王小明; Olivia=李娜; Paul=张三; Quinn=李四; Rose=王五; Sam=赵六; Tina=林涛; "
    "Uma=黄蓉; Victor=徐静; Wendy=马超; Xavier=朱琳; Yara=胡军; Zoe=郭靖; Anna Smith=高峰; Tom Brown=何洁; Lucy=罗刚; Max=梁红; "
    "Nina=宋佳; Oscar=唐亮; Peter=冯雪; Ruth=董浩; Sara=程明; Ben=曹颖; Maria Lopez=袁华; John=邓超; Lily=许晴; Mike=傅强"
)

# Ordinary words for free text: messages, titles, notes, searches.
THINGS = pairs(
    "milk=牛奶; bread=面包; car=汽车; dentist=牙医; meeting=会议; cats=猫; dogs=狗; music=音乐; space=太空; history=历史; "
    "football=足球; python=编程; tea=茶; flowers=花; books=书; shoes=鞋子; phone=手机; laptop=电脑; party=聚会; dinner=晚饭; "
    "lunch=午饭; budget=预算; holiday=假期; garden=花园; report=报告; bike=自行车; train=火车; painting=绘画; chess=象棋; cooking=做饭; "
    "rain=雨; mountains=山; ocean=海洋; robots=机器人; energy=能源; health=健康; school=学校; homework=作业; keys=钥匙; rent=房租; "
    "apples=苹果; rice=米饭; noodles=面条; fish=鱼; eggs=鸡蛋; cheese=奶酪; birthday cake=生日蛋糕; solar panels=太阳能板; "
    "green tea=绿茶; black holes=黑洞; old maps=旧地图; winter coats=冬衣; jazz=爵士乐; volcanoes=火山; butterflies=蝴蝶; dinosaurs=恐龙"
)
ADJECTIVES = pairs(
    "new=新的; old=旧的; red=红色的; blue=蓝色的; big=大的; small=小的; cheap=便宜的; fresh=新鲜的; quiet=安静的; fast=快的; "
    "green=绿色的; warm=温暖的; cold=冷的; important=重要的; funny=有趣的; local=本地的; best=最好的; free=免费的; modern=现代的; classic=经典的"
)
SENTENCES = pairs(
    "see you tomorrow=明天见; I will be late=我会迟到; happy birthday=生日快乐; call me back=请回电话; thanks for your help=谢谢你的帮助; "
    "the meeting is moved=会议改期了; dinner is ready=晚饭好了; the report is done=报告写完了; please send the files=请把文件发来; "
    "good luck today=祝你好运; I am on my way=我在路上; let us meet at noon=中午见面吧; do not forget the keys=别忘了钥匙; "
    "the train is late=火车晚点了; all tests passed=测试都通过了; we need more time=我们需要更多时间; have a nice trip=旅途愉快; "
    "water the plants=给植物浇水; buy some milk=买些牛奶; pay the rent=交房租; the door is open=门开着; hello from the lab=实验室向你问好; "
    "lunch on Friday=周五一起吃午饭; the printer is broken=打印机坏了"
)

COLORS = pairs(
    "red=红色; blue=蓝色; green=绿色; yellow=黄色; black=黑色; white=白色; purple=紫色; orange=橙色; pink=粉色; gray=灰色; gold=金色; silver=银色"
)
FOODS = pairs(
    "pizza=披萨; sushi=寿司; noodles=面条; dumplings=饺子; soup=汤; chocolate=巧克力; salad=沙拉; rice=米饭; curry=咖喱; cheese=奶酪; "
    "apples=苹果; hot pot=火锅; ice cream=冰淇淋; tofu=豆腐; pancakes=煎饼; tacos=玉米卷; bread=面包; strawberries=草莓"
)
ANIMALS = pairs(
    "cat=猫; dog=狗; horse=马; panda=熊猫; rabbit=兔子; tiger=老虎; dolphin=海豚; owl=猫头鹰; fox=狐狸; turtle=乌龟; elephant=大象; "
    "penguin=企鹅; bear=熊; duck=鸭子; monkey=猴子; parrot=鹦鹉; wolf=狼; goat=山羊"
)
HOBBIES = pairs(
    "reading=读书; swimming=游泳; chess=下棋; painting=画画; running=跑步; cooking=做饭; singing=唱歌; hiking=徒步; fishing=钓鱼; "
    "dancing=跳舞; gardening=园艺; photography=摄影; cycling=骑车; knitting=编织; skiing=滑雪; traveling=旅行; gaming=打游戏; yoga=瑜伽"
)
JOBS = pairs(
    "teacher=老师; nurse=护士; engineer=工程师; cook=厨师; student=学生; driver=司机; doctor=医生; painter=画家; farmer=农民; "
    "writer=作家; lawyer=律师; designer=设计师; programmer=程序员; musician=音乐家; baker=面包师; pilot=飞行员; librarian=图书管理员; gardener=园丁"
)
LANGUAGES = pairs(
    "English=英语; French=法语; German=德语; Chinese=中文; Spanish=西班牙语; Italian=意大利语; Japanese=日语; Korean=韩语; Russian=俄语; "
    "Portuguese=葡萄牙语; Arabic=阿拉伯语; Dutch=荷兰语; Greek=希腊语; Turkish=土耳其语; Polish=波兰语; Hindi=印地语; Thai=泰语; Swedish=瑞典语"
)
CURRENCIES = pairs(
    "USD=美元; EUR=欧元; CNY=人民币; JPY=日元; GBP=英镑; CHF=瑞士法郎; AUD=澳元; KRW=韩元; CAD=加元; INR=卢比; HKD=港币; SGD=新加坡元"
)
DAYS = pairs(
    "today=今天; tomorrow=明天; Monday=周一; Tuesday=周二; Wednesday=周三; Thursday=周四; Friday=周五; Saturday=周六; Sunday=周日; "
    "next week=下周; tonight=今晚; this weekend=这个周末; next Monday=下周一; the day after tomorrow=后天; next month=下个月"
)
MONTHS = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
]

# Names and options of enumerations.
ENUMS: tuple[tuple[Pair, tuple[Pair, ...]], ...] = (
    (("priority", "优先级"), pairs("low=低; medium=中; high=高; urgent=紧急")),
    (("size", "尺寸"), pairs("small=小; medium=中; large=大")),
    (("format", "格式"), pairs("pdf=pdf; csv=csv; json=json; html=html; xml=xml")),
    (("color", "颜色"), COLORS[:6]),
    (("mode", "模式"), pairs("auto=自动; manual=手动; eco=节能; turbo=强力; silent=静音")),
    (("category", "类别"), pairs("sports=体育; science=科学; business=商业; culture=文化; travel=旅游; health=健康")),
    (("unit", "单位"), pairs("metric=公制; imperial=英制")),
    (("sort_by", "排序方式"), pairs("date=日期; price=价格; rating=评分; name=名称; distance=距离")),
    (("status", "状态"), pairs("open=未完成; closed=已关闭; pending=待处理; done=已完成")),
    (("quality", "质量"), pairs("draft=草稿; standard=标准; premium=高级")),
    (("language", "语言"), LANGUAGES[:6]),
    (("seat", "座位"), pairs("window=靠窗; aisle=过道; middle=中间")),
    (("level", "等级"), pairs("beginner=初级; intermediate=中级; advanced=高级; expert=专家")),
    (("period", "周期"), pairs("daily=每天; weekly=每周; monthly=每月; yearly=每年")),
    (("style", "风格"), pairs("formal=正式; casual=随意; short=简短; funny=幽默")),
    (("shape", "形状"), pairs("round=圆形; square=方形; oval=椭圆")),
    (("class", "舱位"), pairs("economy=经济舱; business=商务舱; first=头等舱")),
    (("vehicle", "车型"), pairs("van=面包车; truck=卡车; suv=越野车; sedan=轿车")),
)

# Characters for invented Chinese words, and common ones that deserve a token of their own.
HANZI = (
    "安白北本长成城春大道德东冬方飞风福高光广国海和河红湖花华欢辉吉家江金晶景静君开康可乐丽良林灵龙路罗马美梅米明木南宁平"
    "青清秋泉人仁日荣瑞三山上深生诗石书水思松太天田同万王文五西夏仙香小新星雪雅阳业一义永友玉元圆远月云泽正志中竹子紫"
    "拉斯尔克特亚巴卡达伊奥里莫尼利维托诺波登堡顿弗格哈姆纳帕萨塔瓦泽兹恩贝布杰基库勒"
)

_PAIRS = (
    *TOPICS,
    *NOUNS,
    *LOOKUP_VERBS,
    *ACTION_VERBS,
    *CITIES,
    *PEOPLE,
    *THINGS,
    *ADJECTIVES,
    *COLORS,
    *FOODS,
    *ANIMALS,
    *HOBBIES,
    *JOBS,
)

COMMON = "".join(sorted({char for _, chinese in (*_PAIRS, *SENTENCES, *LANGUAGES) for char in chinese}))
"""All characters of the banks: single characters are known on both sides of the split, words are not."""

SPLICED = sorted(
    {word.lower() for english, _ in _PAIRS for word in english.split() if len(word) > 3 and word.isalpha()}
)
"""Words to make new ones of."""
