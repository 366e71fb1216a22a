//! Names for experiments that were given none.

use crate::name::ExpName;

/// An endless series of names such as `misty-otter`, determined by a seed.
///
/// Names come again after some 156 thousand; who wants an unused one asks
/// [`ExperimentStore::free_name`](crate::ExperimentStore::free_name).
#[derive(Debug, Clone)]
pub struct Names {
    state: u64,
    drawn: u64,
}

/// After so many draws that were all refused, a number is put behind the words.
const PLAIN_DRAWS: u64 = 64;

impl Names {
    /// Begins a series.
    pub fn new(seed: u64) -> Self {
        Self { state: seed, drawn: 0 }
    }

    /// The generator `SplitMix64`, by Sebastiano Vigna.
    fn draw(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Returns the next name; there always is one.
    pub(crate) fn draw_name(&mut self) -> ExpName {
        let mut text = format!("{}-{}", self.word(ADJECTIVES), self.word(NOUNS));
        self.drawn += 1;
        if self.drawn > PLAIN_DRAWS {
            text = format!("{text}-{}", self.drawn);
        }
        ExpName::generated(text)
    }

    fn word(&mut self, words: &'static str) -> &'static str {
        let words: Vec<&str> = words.split_ascii_whitespace().collect();
        let count = u64::try_from(words.len()).unwrap_or(1);
        let at = usize::try_from(self.draw() % count).unwrap_or(0);
        words[at]
    }
}

impl Iterator for Names {
    type Item = ExpName;

    fn next(&mut self) -> Option<ExpName> {
        Some(self.draw_name())
    }
}

const ADJECTIVES: &str = "
    able acid agile airy alert amber ample apt arctic autumn avid azure balmy bare basic beige
    bent big black blond blue bold bonny brave breezy brief bright brisk broad bronze brown
    bubbly busy calm candid canny careful cheery chief civil classy clean clear clever close
    cobalt cold comfy cool copper coral cosmic cosy cozy cream crimson crisp curly cyan daily
    dapper daring deep deft dense dewy direct distant dotted double downy dreamy dry dusty eager
    early earnest east eastern easy elder elegant emerald epic equal even exact extra fabled
    fair famed fancy fast feathery fertile few fiery fine firm first fit fleet floral fluffy
    fluid flying fond formal fresh frosty full funny fuzzy gentle genuine giant gifted glad
    glassy gleaming glossy golden good grand grassy grateful great green grey handy happy hardy
    hazel hazy hearty heavy hidden high hollow honest humble icy ideal indigo inner ivory jade
    jaunty jazzy jolly jovial joyful keen kind known large late lavish leafy lean level light
    lilac limber linen little lively local lofty lone long loose loud loyal lucid lucky lunar
    magic main major maroon mellow merry mighty mild milky mint misty modern modest mossy narrow
    native navy neat new nice nimble noble noted novel oaken olive open orange outer oval pale
    paper patient peachy pearly perky pink placid plain plucky plum plush polar polite pretty
    prime proper proud pure purple quaint quick quiet rapid rare ready real red regal rich ripe
    roomy rose rosy round royal ruby rural rustic sage salty sandy satin scarlet serene shady
    sharp shiny short silent silken silver simple single skilled sleek slender slim slow small
    smart smooth snowy snug sober soft solar solid sonic sound southern spare spicy spry square
    stable stark starry steady steep still stout strong sturdy subtle sunny super supple sure
    sweet swift tall tame tan tangy tawny teal tender thick thin thrifty tidy timber tiny topaz
    tough tranquil true trusty twin upbeat upper urban usual valid vast velvet verdant violet
    vital vivid vocal warm wavy west western white whole wide windy winged winter wise wispy
    witty wooden woolly worthy young zesty
";

const NOUNS: &str = "
    acorn alder almond alpaca anchor antler apple apron arbor arch arrow aspen aster atlas
    aurora axle badge badger bagel balcony bamboo banjo banner barley barn basil basin basket
    bay beach beacon bead beam bean bear beaver bee beech beetle bell bench berry birch bison
    bloom boat bonnet book boot bough boulder bowl branch brass bread breeze brick bridge brook
    broom brush bucket bud buffalo butter button cabin cactus camel candle canoe canyon cape
    cardinal carrot cart castle cedar cello chair chalk cherry chest chime cider cinder circle
    citrus cliff cloak clock cloud clover coast cobble cocoa comet compass condor copse cork
    cottage cotton cove crane crater creek crest cricket crow crown crystal cup curlew cypress
    daisy dale dawn deer delta dew dingo dock dolphin dome door dove dragon drum duck dune eagle
    easel echo egret elk elm ember emu falcon fawn feather fennel fern ferry fiddle field fig
    finch fir fjord flame flax flint flute foal fog forest forge fossil fountain fox frame frog
    frost galaxy gale garden garlic garnet gate gazelle gecko geyser ginger glacier glade glen
    globe glove goat goose gorge grain granite grape grass grove guitar gull hamlet hammer
    harbor hare harp hawk hay hazel heath hedge heron hill hive holly honey horizon horn horse
    ibex ibis igloo inlet iris iron island ivy jasmine jay jet jetty jewel juniper kayak kelp
    kettle key kite kiwi koala ladder ladle lagoon lake lamp lantern larch lark laurel lava
    lavender leaf ledge lemon lentil lichen light lily lime linden lion llama lobster locket
    loft loom lotus lynx lyre magnet magpie mango maple marble marsh meadow melon mesa meteor
    mill minnow mist mitten moat mole moon moose moss moth mountain mural myrtle nebula nectar
    needle nest newt nutmeg oak oar oasis oat ocean olive onion opal orbit orchard orchid oriole
    osprey otter owl oyster paddle palm panda pansy panther parrot parsley pasture path peach
    pear pearl pebble pelican penguin pepper petal pheasant piano pigeon pillar pine planet
    plank plover plum pocket pond poplar poppy porch prairie prism puffin pumpkin quail quarry
    quartz quill quilt rabbit radish raft rain rainbow raven reed reef ribbon ridge river robin
    rocket root rope rose rowan saddle saffron sail salmon sand saucer scarf seal seed shade
    shell shore shrub sky sleet slope snail snow sparrow spice spoon spring spruce squash
    squirrel stable star starling stone stork storm stove straw stream summit sun swallow swan
    table teapot tern thicket thimble thistle thrush thunder thyme tide tiger timber toast topaz
    torch tower trail tree trout tulip tundra tunnel turnip turtle valley vault vine viola
    violet violin walnut walrus warbler water wave well whale wheat wheel willow wind window
    wing wolf wombat wood wren yak yarn yew zebra zephyr zinnia
";

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_seed_determines_its_series() {
        let series = |seed| Names::new(seed).take(3).collect::<Vec<_>>();
        assert_eq!(series(7), series(7));
        assert_ne!(series(7), series(8));
    }

    #[test]
    fn words_are_distinct_short_and_plain() {
        for list in [ADJECTIVES, NOUNS] {
            let words: Vec<_> = list.split_whitespace().collect();
            assert_eq!(words.iter().collect::<BTreeSet<_>>().len(), words.len());
            assert!(words.len() > 300);
            assert!(
                words.iter().all(|w| w.len() <= 9 && w.bytes().all(|b| b.is_ascii_lowercase()))
            );
        }
    }

    #[test]
    fn a_series_does_not_get_stuck_when_names_run_out() {
        let names: Vec<_> = Names::new(1).take(200).collect();
        assert!(names[199].as_str().ends_with("-200"), "{:?}", names[199]);
    }
}
